"""Comments on a plan: whose they are, taking them back, and accepting in spite of them."""

from typing import Any

import httpx2
import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.driving import QUICK, Tasks, types, until

ADA = {"email": "ada@example.com", "name": "ada"}


async def comment(tasks: Tasks, task: dict[str, Any], body: str) -> tuple[str, dict[str, Any]]:
    """Its path, and what was answered."""
    document = f"{task['id']}/documents/{task['plan']['document_id']}"
    added = await tasks.post(f"{document}/feedback", 201, body=body)
    return f"/api/tasks/{document}/feedback/{added['id']}", added


async def test_a_comment_and_an_acceptance_say_whose_they_are(tasks: Tasks) -> None:
    task = await tasks.reviewable(QUICK)
    _, added = await comment(tasks, task, "Shorter.")
    me = added["author_id"]
    assert added["author"] == {"id": me, **ADA}
    await tasks.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"], override_feedback=True)
    await tasks.wait(task["id"], "DONE")
    plan = (await tasks.documents(task["id"]))[0]
    assert plan["accepted_by"] == {"id": me, **ADA} and plan["feedback"][0]["author"] == {"id": me, **ADA}
    [accepted] = [event for event in await tasks.events(task["id"]) if event["type"] == "accepted"]
    assert accepted["by"] == ADA["email"] and accepted["by_user"] == {"id": me, **ADA}
    assert accepted["overridden"] == 1

    by_policy = await tasks.started(QUICK, auto_accept=True)
    await tasks.wait(by_policy, "DONE")
    plan = (await tasks.documents(by_policy))[0]
    assert plan["accepted_by"] == {"id": None, "email": None, "name": "policy:auto_accept"}


async def test_a_comment_is_withdrawn_until_it_is_addressed(tasks: Tasks, stranger: httpx2.AsyncClient) -> None:
    task = await tasks.reviewable(QUICK)
    path, _ = await comment(tasks, task, "A slip.")
    kept, _ = await comment(tasks, task, "Meant.")
    refused = await tasks.post(f"{task['id']}/plan/accept", 409, hash=task["plan"]["hash"])
    assert refused["code"] == "UnaddressedFeedback" and "withdraw" in refused["remedy"]
    assert (await stranger.delete(path)).status_code == 404
    assert (await tasks.client.delete(path)).status_code == 204
    assert (await tasks.client.delete(path)).status_code == 404
    assert [item["body"] for item in (await tasks.documents(task["id"]))[0]["feedback"]] == ["Meant."]
    assert (await tasks.events(task["id"]))[-1]["withdrawn"] is True
    assert (await tasks.post(f"{task['id']}/plan/done-reviewing"))["outcome"] == "revising"

    async def second() -> bool:
        found = await tasks.get(task["id"])
        return found["plan"]["version"] == 2 and found["stage"] == "WAIT_RFC"

    await until(second)
    late = await tasks.client.delete(kept)
    assert late.status_code == 409 and late.json()["code"] == "WrongStage"
    first, newest = await tasks.documents(task["id"])
    assert first["feedback"][0]["answer"] and "A slip." not in newest["body"]


async def test_a_plan_is_accepted_once_the_comment_that_refused_it_is_withdrawn(tasks: Tasks, temporal: Client) -> None:
    """Also where the workflow itself refused it, because the comment came between row and workflow."""
    task = await tasks.reviewable(QUICK)
    before = (await tasks.events(task["id"]))[-1]["seq"]
    path, _ = await comment(tasks, task, "In between.")
    handle = temporal.get_workflow_handle(task["workflow_id"])
    run_id = (await tasks.get(task["id"]))["run_id"]
    for update_id in (f"accept:{run_id}:{task['plan']['hash']}", f"accept:{run_id}:{task['plan']['hash']}:{before}"):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(
                "accept_plan", {"plan_hash": task["plan"]["hash"], "by": "ada@example.com"}, id=update_id
            )
        assert "no revision has answered" in str(refused.value.cause)
    assert (await tasks.client.delete(path)).status_code == 204
    await tasks.accept(task)
    await tasks.wait(task["id"], "DONE")
    assert "overridden" not in next(e for e in await tasks.events(task["id"]) if e["type"] == "accepted")


async def test_an_override_is_said_in_earnest_and_names_the_version(tasks: Tasks) -> None:
    task = await tasks.reviewable(QUICK)
    await comment(tasks, task, "Open.")
    for wrong, status in (
        ({"override_feedback": "yes"}, 422),
        ({"override_feedback": 1}, 422),
        ({"hash": "0" * 64}, 409),
    ):
        body = {"hash": task["plan"]["hash"], "override_feedback": True, **wrong}
        await tasks.post(f"{task['id']}/plan/accept", status, **body)
    assert not types(await tasks.events(task["id"]), "accepted")
    await tasks.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"], override_feedback=True)
    await tasks.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"])
    await tasks.wait(task["id"], "DONE")


async def test_one_comment_is_read_alone(tasks: Tasks, stranger: httpx2.AsyncClient) -> None:
    task = await tasks.reviewable(QUICK)
    path, added = await comment(tasks, task, "Shorter.")
    assert (await tasks.client.get(path)).json() == added
    changed = (await tasks.client.patch(path, json={"body": "Longer."})).json()
    assert (await tasks.client.get(path)).json() == changed
    assert (await stranger.get(path)).status_code == 404
    elsewhere, _ = await comment(tasks, await tasks.reviewable(QUICK), "Of another task.")
    assert (await tasks.client.get(f"{path.rpartition('/')[0]}/{elsewhere.rpartition('/')[2]}")).status_code == 404
    await tasks.client.delete(path)
    gone = await tasks.client.get(path)
    assert gone.status_code == 404 and gone.json()["field"] == "feedback_id" and gone.json()["remedy"]
