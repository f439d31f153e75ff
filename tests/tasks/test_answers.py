"""Answers to a plan that come at once, twice, or too late: each is judged, and none reaches a plan that nobody saw."""

import asyncio
from typing import Any

from temporalio.client import Client

from tests.driving import QUICK, SLOW, Tasks, stages, types, until


async def second_version(tasks: Tasks, task_id: str) -> dict[str, Any]:
    async def shown() -> dict[str, Any] | None:
        task = await tasks.get(task_id)
        return task if task["stage"] == "WAIT_RFC" and task["plan"]["version"] == 2 else None

    return await until(shown, what="version 2")


async def commented(tasks: Tasks, options: dict[str, Any]) -> dict[str, Any]:
    task = await tasks.reviewable(options)
    await tasks.post(f"{task['id']}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    return task


async def test_two_answers_at_once_are_both_judged(tasks: Tasks, temporal: Client) -> None:
    """And neither is left waiting, which would keep the run from continuing as new for ever."""
    task = await tasks.reviewable(SLOW)
    path = task["id"]
    answers = await asyncio.wait_for(
        asyncio.gather(
            tasks.post(f"{path}/plan/accept", hash=task["plan"]["hash"]),
            tasks.post(f"{path}/plan/done-reviewing"),
            tasks.post(f"{path}/plan/done-reviewing", hash=task["plan"]["hash"]),
        ),
        10,
    )
    assert {answer["outcome"] for answer in answers} == {"accepted"}
    handle = temporal.get_workflow_handle(task["workflow_id"])
    run_id = (await handle.describe()).run_id
    await handle.signal("signal_accept_rfc")
    await handle.signal("move_on")

    async def moved() -> bool:
        return (await handle.describe()).run_id != run_id

    await until(moved, what="the next run")
    before = (await tasks.get(path))["steps"]

    async def further() -> bool:
        return (await tasks.get(path))["steps"] > before

    await until(further, what="a step of the next run")
    assert types(await tasks.events(path), "accepted") == ["accepted"]
    await tasks.client.delete(f"/api/tasks/{path}")


async def test_a_second_click_on_done_reviewing_does_not_answer_the_next_version(tasks: Tasks) -> None:
    task = await commented(tasks, QUICK)
    path, first = task["id"], task["plan"]["hash"]
    assert (await tasks.post(f"{path}/plan/done-reviewing", hash=first))["outcome"] == "revising"
    current = (await second_version(tasks, path))["plan"]["hash"]
    again = await tasks.post(f"{path}/plan/done-reviewing", hash=first)
    assert again == {"outcome": "revising", "hash": current}
    document = f"/tasks/{path}/document/{task['plan']['document_id']}/status"
    assert (await tasks.client.post(document, json={"action": "done_reviewing"})).json() == {"ok": True}
    refused = await tasks.post(f"{path}/plan/done-reviewing", 409, hash="0" * 64)
    assert refused["current_hash"] == current
    assert (await tasks.get(path))["plan"] == {**(await tasks.get(path))["plan"], "status": "REVIEW", "hash": current}
    assert (await tasks.post(f"{path}/plan/done-reviewing", hash=current))["outcome"] == "accepted"
    await tasks.wait(path, "DONE")


async def test_a_signal_means_the_plan_that_was_under_review(tasks: Tasks, temporal: Client) -> None:
    task = await commented(tasks, QUICK)
    handle = temporal.get_workflow_handle(task["workflow_id"])
    await asyncio.gather(*(handle.signal("signal_resume") for _ in range(3)))
    again = await second_version(tasks, task["id"])
    # Whatever still waits would answer now: commands are handled in the order in which they come.
    assert (await handle.query("query_status"))["phase"] == "review"
    await tasks.accept(again)
    done = await tasks.wait(task["id"], "DONE")
    assert stages(await tasks.events(done["id"])).count("WAIT_RFC") == 2


async def test_a_signal_before_there_is_a_plan_is_refused(tasks: Tasks, temporal: Client) -> None:
    task_id = await tasks.started({**QUICK, "plan_seconds": 0.5})
    task = await tasks.wait(task_id, "PLANNING")
    await temporal.get_workflow_handle(task["workflow_id"]).signal("signal_accept_rfc")
    task = await tasks.wait(task_id, "WAIT_RFC")
    document = f"{task_id}/documents/{task['plan']['document_id']}"
    await tasks.post(f"{document}/feedback", 201, body="I may still say something.")
    assert (await tasks.get(task_id))["stage"] == "WAIT_RFC"
