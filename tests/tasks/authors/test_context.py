"""What an agent is told about its task, its attempt and its step, in both isolations; and what it tells of the plan."""

from typing import Any

import pytest

from tests.driving import Tasks, ticks, until

pytestmark = pytest.mark.parametrize("agent", ["telling", "telling_apart"])


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == "told"]


async def test_an_agent_knows_for_whom_it_works_and_at_what(authors: Tasks, agent: str) -> None:
    task = await authors.reviewable({}, agent_type=agent, prompt="it")
    me = (await authors.client.get("/api/session")).json()
    (plan,) = await authors.documents(task["id"])
    _, _, planned_key, planned_at = plan["content"]["summary"].split()
    assert planned_key == f"{task['id']}/v1/plan"
    await authors.client.post(f"/api/tasks/{task['id']}/documents/{plan['id']}/feedback", json={"body": "More."})
    await authors.post(f"{task['id']}/plan/done-reviewing")

    async def revised() -> bool:
        return len(await authors.documents(task["id"])) == 2

    await until(revised)
    task = await authors.wait(task["id"], "WAIT_RFC")
    *_, revision = await authors.documents(task["id"])
    _, _, revised_key, revised_at = revision["content"]["summary"].split()
    assert revised_key == f"{task['id']}/v2/plan" and int(revised_at) > int(planned_at)
    await authors.accept(task)
    task = await authors.wait(task["id"], "DONE")
    seen = told(await authors.events(task["id"]))
    assert [event["key"] for event in seen] == [f"{task['id']}/v2/{n}" for n in (1, 2, 3, 4)]
    assert [event["steps"] for event in seen] == [0, 1, 2, 3]
    assert all(event["attempt"] > int(revised_at) for event in seen)
    assert seen[0]["user"] == {"id": me["user_id"], "email": "ada@example.com", "name": "ada"}
    report = (await authors.documents(task["id"]))[-1]
    assert report["body"] == f"{task['id']}/v2/report 4"


async def test_a_key_is_the_same_in_every_attempt_and_a_number_is_not(authors: Tasks, agent: str) -> None:
    task_id = await authors.started({"fail_at": 3}, agent_type=agent, auto_accept=True)
    task = await authors.wait(task_id, "FAILED")
    seen = told(await authors.events(task_id))
    retried = [event for event in await authors.events(task_id) if event["type"] == "retry"]
    assert ticks(await authors.events(task_id)) == [1, 2] and len(retried) == 4
    assert {event["error"] for event in retried} == {f"RuntimeError: broken at {task_id}/v1/3"}
    assert task["error"]["cause"] == f"RuntimeError: broken at {task_id}/v1/3"
    assert len({event["attempt"] for event in seen}) == 1  # recorded once, by the first


async def test_people_see_at_which_step_of_the_plan_it_works(authors: Tasks, agent: str) -> None:
    task_id = await authors.started({}, agent_type=agent, auto_accept=True)
    task = await authors.wait(task_id, "DONE")
    assert (task["steps"], task["plan_step"], task["plan"]["steps"]) == (4, 2, 2)
    events = await authors.events(task_id)
    assert [event["plan_step"] for event in events if event["type"] == "tick"] == [1, 1, 2, 2]
    listed = (await authors.client.get("/api/tasks")).json()["items"]
    assert next(item for item in listed if item["id"] == task_id)["plan_step"] == 2


@pytest.mark.parametrize("number", [0, 3, True, "2"])
async def test_a_step_that_the_plan_does_not_have_is_refused(authors: Tasks, agent: str, number: Any) -> None:
    task_id = await authors.started({"plan_step": number}, agent_type=agent, auto_accept=True)
    task = await authors.wait(task_id, "FAILED")
    assert task["error"]["type"] == "AgentRefused", task["error"]
    assert "Step.plan_step is " in task["error"]["cause"] and "from 1 to 2" in task["error"]["remedy"]
    assert task["steps"] == 0 and task["plan_step"] is None


async def test_an_agent_that_cancels_all_tasks_ends_its_own_alone(authors: Tasks, agent: str) -> None:
    """Those of its neighbour, and what records the steps of both, go on as if nothing had happened."""
    neighbour = await authors.executing()
    task_id = await authors.started({}, agent_type=agent, prompt="cancel all", auto_accept=True)

    async def retried() -> bool:
        found = [event for event in await authors.events(task_id) if event["type"] == "retry"]
        return {event["error"] for event in found} == {"CancelledError: the agent cancelled itself."}

    await until(retried)
    before = (await authors.get(neighbour))["steps"]

    async def goes_on() -> bool:
        return (await authors.get(neighbour))["steps"] >= before + 5

    await until(goes_on)
    assert "not its own" in (await authors.client.get(f"/api/tasks/{task_id}/logs")).text
    for each in (task_id, neighbour):
        await authors.post(f"{each}/stop")
    events = await authors.events(neighbour)
    assert ticks(events) == list(range(1, len(ticks(events)) + 1))
    assert not {event["type"] for event in events} & {"retry", "recovered", "no_progress"}
