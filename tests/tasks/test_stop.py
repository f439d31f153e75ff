"""Stopping and resuming in every stage, and deleting."""

import asyncio
from typing import Any

import httpx2
from temporalio.client import Client

from tests.driving import QUICK, SLOW, Tasks, stages, ticks, until


async def test_stop_before_start_changes_nothing(tasks: Tasks) -> None:
    task_id = await tasks.create()
    receipt = await tasks.post(f"{task_id}/stop")
    assert (receipt["stage"], receipt["last_step"], receipt["step_cut"]) == ("INIT", 0, False)
    assert (await tasks.get(task_id))["stage"] == "INIT"
    await tasks.post(f"{task_id}/resume", 409)
    await tasks.post(f"{task_id}/start")
    await tasks.wait(task_id, "WAIT_RFC")


async def test_stop_while_planning(tasks: Tasks) -> None:
    """Planning takes longer than the intern's stop_grace of 5 s: it is cut."""
    task_id = await tasks.started({**QUICK, "plan_seconds": 6.0})
    await tasks.wait(task_id, "PLANNING")
    receipt = await tasks.post(f"{task_id}/stop")
    assert receipt["stage"] == "PLANNING" and "plan again" in receipt["resume"]
    assert (await tasks.get(task_id))["stage"] == "STOPPED"
    await tasks.post(f"{task_id}/start", 409)
    await tasks.post(f"{task_id}/resume")
    task = await tasks.wait(task_id, "WAIT_RFC")
    assert task["plan"]["version"] == 1


async def test_plan_made_within_the_grace_is_kept(tasks: Tasks) -> None:
    task_id = await tasks.started({**QUICK, "plan_seconds": 0.8})
    await tasks.wait(task_id, "PLANNING")
    assert (await tasks.post(f"{task_id}/stop"))["stage"] == "WAIT_RFC"
    await tasks.post(f"{task_id}/resume")
    task = await tasks.wait(task_id, "WAIT_RFC")
    await tasks.accept(task)
    await tasks.wait(task_id, "DONE")
    assert [plan["version"] for plan in await tasks.documents(task_id) if plan["kind"] == "PLAN"] == [1]


async def test_stop_while_reviewing_returns_to_the_review(tasks: Tasks) -> None:
    task = await tasks.reviewable()
    path = task["id"]
    receipt = await tasks.post(f"{path}/stop")
    assert receipt["stage"] == "WAIT_RFC"
    await tasks.post(f"{path}/plan/accept", 409, hash=task["plan"]["hash"])
    document = f"{path}/documents/{task['plan']['document_id']}"
    await tasks.post(f"{document}/feedback", 409, body="Too late.")
    resumed = await tasks.post(f"{path}/resume")
    assert resumed["run_id"] != task["run_id"] and resumed["workflow_id"] == task["workflow_id"]
    again = await tasks.wait(path, "WAIT_RFC")
    assert again["plan"] == task["plan"]
    await tasks.accept(again)
    await tasks.wait(path, "DONE")
    assert stages(await tasks.events(path)) == [
        "INIT",
        "PLANNING",
        "WAIT_RFC",
        "STOPPED",
        "WAIT_RFC",
        "EXECUTING",
        "DONE",
    ]


async def test_stop_while_revising_returns_to_the_revision(tasks: Tasks) -> None:
    task = await tasks.reviewable({**QUICK, "plan_seconds": 1.0})
    path = task["id"]
    await tasks.post(f"{path}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    await tasks.post(f"{path}/plan/done-reviewing")
    await tasks.wait(path, "PLANNING")
    assert (await tasks.post(f"{path}/stop"))["stage"] in ("PLANNING", "WAIT_RFC")
    await tasks.post(f"{path}/resume")
    again = await tasks.wait(path, "WAIT_RFC")
    assert again["plan"]["version"] == 2
    assert (await tasks.documents(path))[0]["feedback"][0]["answer"]


async def test_no_step_starts_after_a_stop_answered(tasks: Tasks) -> None:
    path = await tasks.executing({"steps": 1000, "step_seconds": 0.02}, steps=5)
    receipt = await tasks.post(f"{path}/stop")
    count = len(await tasks.events(path))
    assert receipt["last_step"] == (await tasks.get(path))["steps"]
    # As long as three steps: whatever might still start would be there by then.
    await asyncio.sleep(0.1)
    assert len(await tasks.events(path)) == count
    await tasks.client.delete(f"/api/tasks/{path}")


async def test_stop_records_a_step_that_ends_within_its_grace(tasks: Tasks) -> None:
    path = await tasks.executing({"steps": 3, "step_seconds": 1.0})
    receipt = await tasks.post(f"{path}/stop")
    assert receipt["last_step"] in (1, 2) and not receipt["step_cut"]
    await tasks.post(f"{path}/resume")
    await tasks.wait(path, "DONE")
    assert ticks(await tasks.events(path)) == [1, 2, 3]


async def test_stop_cuts_a_step_that_outlives_its_grace(tasks: Tasks) -> None:
    """A step takes longer than the intern's stop_grace of 5 s: it is cut, and repeated as a whole."""
    path = await tasks.executing({"steps": 2, "step_seconds": 6.0})
    receipt = await tasks.post(f"{path}/stop")
    assert (receipt["last_step"], receipt["step_cut"]) == (1, True)
    assert "repeated as a whole" in receipt["resume"]
    assert ticks(await tasks.events(path)) == [1]
    await tasks.post(f"{path}/resume")
    await tasks.wait(path, "DONE")
    assert ticks(await tasks.events(path)) == [1, 2]


async def test_rounds_of_stop_and_resume_record_the_same_steps(tasks: Tasks) -> None:
    path = await tasks.executing({"steps": 200, "step_seconds": 0.005})
    for _ in range(8):
        await tasks.post(f"{path}/stop")
        answers = await asyncio.gather(*(tasks.post(f"{path}/resume") for _ in range(2)))
        assert len({answer["run_id"] for answer in answers}) == 1
    await tasks.wait(path, "DONE")
    assert ticks(await tasks.events(path)) == list(range(1, 201))


async def test_a_double_click_on_stop_answers_alike(tasks: Tasks) -> None:
    path = await tasks.executing()
    first, second = await asyncio.gather(tasks.post(f"{path}/stop"), tasks.post(f"{path}/stop"))
    assert first == second
    await tasks.client.delete(f"/api/tasks/{path}")


async def test_resuming_what_runs_changes_nothing(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable()
    handle = temporal.get_workflow_handle(task["workflow_id"])

    async def quiet() -> bool:  # the plan is shown a moment before the workflow task that showed it has ended
        return not (await handle.describe()).raw_description.HasField("pending_workflow_task")

    await until(quiet, what="the end of the workflow task")
    before = (await handle.describe()).history_length
    answers = await asyncio.gather(*(tasks.post(f"{task['id']}/resume") for _ in range(20)))
    assert {(answer["run_id"], answer["already_running"]) for answer in answers} == {(task["run_id"], True)}
    assert (await handle.describe()).history_length == before
    await tasks.accept(task)
    await tasks.wait(task["id"], "DONE")


async def test_delete_stops_and_ends_the_streams(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    path = await tasks.executing(SLOW)
    seen: list[dict[str, Any]] = []

    async def watch() -> None:
        async for _, data in tasks.stream(path):
            seen.append(data)

    watching = asyncio.create_task(watch())

    async def connected() -> bool:
        return len(seen) > 0

    await until(connected, what="an event in the stream")
    assert (await client.delete(f"/api/tasks/{path}")).status_code == 204
    await asyncio.wait_for(watching, 10)
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["type"] == "deleted" and "STOPPED" in stages(seen)
    for method, where in [
        ("GET", ""),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/resume"),
        ("GET", "/events"),
        ("GET", "/documents"),
        ("DELETE", ""),
    ]:
        assert (await client.request(method, f"/api/tasks/{path}{where}")).status_code == 404, (method, where)
    assert (await client.get(f"/api/tasks/{path}/stream")).status_code == 204


async def test_delete_in_every_stage(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    waiting = (await tasks.reviewable())["id"]
    done = await tasks.started(QUICK, auto_accept=True)
    await tasks.wait(done, "DONE")
    planning = await tasks.started({**QUICK, "plan_seconds": 0.5})
    for path in (await tasks.create(), waiting, done, planning):
        assert (await client.delete(f"/api/tasks/{path}")).status_code == 204
        assert (await client.get(f"/api/tasks/{path}")).status_code == 404
    listed = (await client.get("/api/tasks", params={"limit": 200})).json()["items"]
    assert not {waiting, done, planning} & {item["id"] for item in listed}
