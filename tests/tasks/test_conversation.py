"""What people say to a task is put where its agent meets it, and is never dropped."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pavo.tasks import domain as d
from tests.driving import Tasks, types, until
from tests.parts import Parts
from tests.tasks.listening_agents import install
from tests.tasks.own_stack import Own, on_path, own_stack

AGENTS = ["listening", "listening_apart"]
ADA = "ada.listens@example.com"


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(
        parts, "listening", {"PAVO_PROGRESS_STEPS": "2", "PYTHONPATH": on_path(folder)}, user=ADA
    ) as stack:
        yield stack


async def say(tasks: Tasks, task_id: str, body: str, expect: int = 201, key: str | None = None) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = await tasks.client.post(f"/api/tasks/{task_id}/messages", json={"body": body}, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def heard(tasks: Tasks, task_id: str, count: int) -> list[dict[str, Any]]:
    async def so_many() -> list[dict[str, Any]]:
        found = [event for event in await tasks.events(task_id) if event["type"] == "heard"]
        return found if len(found) >= count else []

    return await until(so_many, what=f"{count} messages to be heard")


@pytest.mark.parametrize("agent", AGENTS)
async def test_said_at_each_stage(own: Own, agent: str) -> None:
    tasks = own.tasks
    task_id = await tasks.create({}, agent_type=agent, prompt="Listen well.")
    before = await say(tasks, task_id, "Also to this.")
    assert (before["placed"], before["seq"], before["author"]["email"]) == ("prompt", None, ADA)
    assert before["author"]["name"] == "ada.listens" and before["author"]["id"]
    assert (await tasks.get(task_id))["prompt"] == "Listen well.\n\nAlso to this."
    await tasks.post(f"{task_id}/start")
    task = await tasks.wait(task_id, "WAIT_RFC")

    comment = await say(tasks, task_id, "Mind the gap.")
    assert comment["placed"] == "feedback"
    [plan] = await tasks.documents(task_id)
    assert "Asked: Listen well.\n\nAlso to this." in plan["body"]
    assert [(item["id"], item["body"], item["step"]) for item in plan["feedback"]] == [
        (comment["id"], "Mind the gap.", None)
    ]
    await tasks.post(f"{task_id}/plan/accept", 409, hash=task["plan"]["hash"])
    await tasks.post(f"{task_id}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def second() -> Any:
        found = await tasks.get(task_id)
        return found["plan"]["version"] == 2 and found["stage"] == "WAIT_RFC" and found

    await tasks.accept(await until(second))
    first = await say(tasks, task_id, "one")
    assert first["placed"] == "message" and first["seq"] > 0
    await say(tasks, task_id, "two")
    events = await heard(tasks, task_id, 2)
    assert [event["said"] for event in events] == [f"{ADA}: one (True)", f"{ADA}: two (True)"]
    assert events[0]["number"] == first["seq"]

    await tasks.post(f"{task_id}/stop")
    await say(tasks, task_id, "while stopped")
    await tasks.post(f"{task_id}/resume")
    await heard(tasks, task_id, 3)
    await say(tasks, task_id, "end")
    await tasks.wait(task_id, "DONE")
    told = ["one", "two", "while stopped", "end"]
    assert (await tasks.documents(task_id))[-1]["body"] == f"{told} {told}"
    said = [event for event in await tasks.events(task_id) if event["type"] == "message"]
    assert [(event["body"], event["placed"], event["by"]) for event in said] == [
        ("Also to this.", "prompt", ADA),
        *((body, "message", ADA) for body in told),
    ]


@pytest.mark.parametrize("agent", AGENTS)
async def test_what_was_said_survives_the_worker(own: Own, agent: str) -> None:
    """Each message is worked off once and in order, whatever dies between, and is there to be read again."""
    tasks = own.tasks
    task_id = await tasks.started({}, agent_type=agent, auto_accept=True)
    await tasks.wait(task_id, "EXECUTING")
    told = [f"m{number}" for number in range(6)]
    for body in told[:3]:
        await say(tasks, task_id, body)
    await heard(tasks, task_id, 1)
    own.worker.kill()
    for body in told[3:]:
        await say(tasks, task_id, body)
    own.worker = await own.parts.start("worker", **own.environment)
    await say(tasks, task_id, "end")
    await tasks.wait(task_id, "DONE")
    events = [event["said"].split()[1] for event in await tasks.events(task_id) if event["type"] == "heard"]
    assert events == [*told, "end"]
    assert (await tasks.documents(task_id))[-1]["body"] == f"{[*told, 'end']} {[*told, 'end']}"


async def test_a_key_says_it_once(own: Own) -> None:
    tasks = own.tasks
    task_id, other = await tasks.create({}, agent_type="listening"), await tasks.create({}, agent_type="listening")
    both = await asyncio.gather(
        *(
            own.tasks.client.post(
                f"/api/tasks/{task_id}/messages", json={"body": "Once."}, headers={"Idempotency-Key": "k-1"}
            )
            for _ in range(4)
        )
    )
    assert sorted(answer.status_code for answer in both) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in both}) == 1
    assert (await tasks.get(task_id))["prompt"] == "Once."
    assert (await say(tasks, other, "Once.", 409, key="k-1"))["code"] == "IdempotencyMismatch"
    assert (await say(tasks, task_id, "Twice.", 409, key="k-1"))["code"] == "IdempotencyMismatch"
    assert types(await tasks.events(other)) == ["stage"]


async def test_bad_input_changes_nothing(own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.create({}, agent_type="listening", prompt="p" * 199_000)
    for body, status in (
        ({"body": " "}, 422),
        ({"body": "x\0"}, 422),
        ({"text": "x"}, 422),
        ({"body": "x" * 16_001}, 413),
    ):
        answer = await tasks.client.post(f"/api/tasks/{task_id}/messages", json=body)
        assert answer.status_code == status and answer.json()["field"], answer.text
    refused = await say(tasks, task_id, "x" * 1000, 413, key="k-2")
    assert refused["field"] == "body" and "200,000" in refused["detail"]
    assert types(await tasks.events(task_id)) == ["stage"] and len((await tasks.get(task_id))["prompt"]) == 199_000
    await say(tasks, task_id, "x" * 998, key="k-2")
    assert (await tasks.client.post(f"/api/tasks/{uuid.uuid4()}/messages", json={"body": "x"})).status_code == 404


async def test_messages_are_bounded_together(own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.started({}, agent_type="listening", auto_accept=True)
    await tasks.wait(task_id, "EXECUTING")
    for _ in range(15):
        await say(tasks, task_id, "🦚" * 16_000)
    refused = await say(tasks, task_id, "🦚" * 16_000, 413)
    assert refused["field"] == "body" and "1,000,000" in refused["detail"]
    await heard(tasks, task_id, 15)
    await say(tasks, task_id, "end")
    await tasks.wait(task_id, "DONE")
    assert (await tasks.client.delete(f"/api/tasks/{task_id}")).status_code == 204


async def test_what_the_existing_pages_say(own: Own) -> None:
    tasks = own.tasks
    made = (await tasks.client.post("/create_task_id", json={"title": "Talk", "agent_type": "listening"})).json()
    task_id, workflow_id = made["task_id"], made["workflow_id"]

    async def message(text: str | None) -> dict[str, Any]:
        answer = await tasks.client.post(f"/tasks/{task_id}/message", json={"text": text})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert await message("Find out.") == {"workflow_id": workflow_id, "started": True}
    assert (await tasks.get(task_id))["prompt"] == "Find out."
    await tasks.wait(task_id, "WAIT_RFC")
    assert await message("Look closer.") == {"workflow_id": workflow_id, "already_running": True}
    [plan] = await tasks.documents(task_id)
    assert [item["body"] for item in plan["feedback"]] == ["Look closer."]
    await tasks.post(f"{task_id}/stop")
    assert await message("Even closer.") == {"workflow_id": workflow_id, "started": True}
    await tasks.wait(task_id, "WAIT_RFC")
    [plan] = await tasks.documents(task_id)
    assert [item["body"] for item in plan["feedback"]] == ["Look closer.", "Even closer."]
    await tasks.post(f"{task_id}/plan/done-reviewing")

    async def second() -> Any:
        found = await tasks.get(task_id)
        return found["plan"]["version"] == 2 and found["stage"] == "WAIT_RFC" and found

    await tasks.accept(await until(second))
    assert await message(None) == {"workflow_id": workflow_id, "already_running": True}
    assert await message("end") == {"workflow_id": workflow_id, "already_running": True}
    await tasks.wait(task_id, "DONE")
    assert await message("Thanks.") == {"workflow_id": workflow_id, "already_running": True}
    assert (await tasks.documents(task_id))[-1]["body"] == "['end'] ['end']"


@pytest.mark.parametrize(
    ("stage", "phase", "planned", "place"),
    [
        (d.INIT, d.PHASE_PLANNING, False, "prompt"),
        (d.PLANNING, d.PHASE_PLANNING, False, "message"),
        (d.STOPPED, d.PHASE_PLANNING, False, "prompt"),
        (d.FAILED, d.PHASE_PLANNING, False, "prompt"),
        (d.STOPPED, d.PHASE_PLANNING, True, "message"),  # a draft is stored: the prompt is not read again
        (d.WAIT_RFC, d.PHASE_REVIEW, True, "feedback"),
        (d.STOPPED, d.PHASE_REVIEW, True, "feedback"),
        (d.PLANNING, d.PHASE_REVISING, True, "message"),
        (d.FAILED, d.PHASE_REVISING, True, "message"),
        (d.EXECUTING, d.PHASE_EXECUTING, True, "message"),
        (d.FAILED, d.PHASE_EXECUTING, True, "message"),
        (d.DONE, d.PHASE_OVER, True, "follow_up"),
    ],
)
def test_where_it_is_put(stage: str, phase: str, planned: bool, place: str) -> None:
    assert d.place_of_message(stage, phase, planned=planned) == place
