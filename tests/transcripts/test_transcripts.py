"""The transcript of a task over its whole life: kills, stops, edits, and what people read of it."""

import asyncio
import json
import os
import uuid
from typing import Any

import pytest

from pavo.kit.sql import Database, KeptConnection
from tests.command import Done, pavo
from tests.driving import Tasks, until
from tests.tasks.own_stack import Own

AGENTS = ["talking", "talking_apart"]


async def page(tasks: Tasks, task_id: str, expect: int = 200, **wanted: Any) -> dict[str, Any]:
    answer = await tasks.client.get(f"/api/tasks/{task_id}/transcript", params=wanted)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def whole(tasks: Tasks, task_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while (got := await page(tasks, task_id, after=found[-1]["position"] if found else 0, limit=7))["items"]:
        assert len(got["items"]) <= 7 and got["next"] == got["items"][-1]["position"]
        found += got["items"]
    assert [message["position"] for message in found] == list(range(1, len(found) + 1))
    return found


def rounds(messages: list[dict[str, Any]]) -> list[int]:
    return [message["data"]["calls"][0]["round"] for message in messages if "calls" in message["data"]]


@pytest.mark.fault
@pytest.mark.parametrize("agent", AGENTS)
async def test_kills_neither_double_nor_lose_a_message(own: Own, agent: str) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"rounds": 60, "pause": 0.02}, agent_type=agent, auto_accept=True)
    for steps in (5, 20, 35):

        async def far_enough(steps: int = steps) -> bool:
            return (await tasks.get(task_id))["steps"] >= steps

        await until(far_enough, what=f"{steps} steps")
        own.worker.kill()
        own.worker = await own.parts.start("worker", **own.environment)
    await tasks.wait(task_id, "DONE")
    found = await whole(tasks, task_id)
    assert rounds(found) == list(range(1, 61)) and len(found) == 120
    assert len({message["data"]["calls"][0]["attempt"] for message in found[::2]}) >= 2, "attempts took over"
    assert [message["step"] for message in found] == [number for number in range(1, 61) for _ in range(2)]
    assert (await page(tasks, task_id))["count"] == 120


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_edit_of_the_prompt_leaves_the_transcript_and_work_begins_behind_it(own: Own, agent: str) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"rounds": 500, "pause": 0.02}, agent_type=agent, auto_accept=True)

    async def some() -> bool:
        return (await tasks.get(task_id))["steps"] >= 5

    await until(some, what="5 steps")
    await tasks.post(f"{task_id}/stop")
    await tasks.wait(task_id, "STOPPED")
    before = await whole(tasks, task_id)
    assert len(before) == 2 * (await tasks.get(task_id))["steps"]
    changed = {"prompt": "Something else", "agent_options": {"rounds": 3, "pause": 0.0}}
    edited = await tasks.client.patch(f"/api/tasks/{task_id}", json=changed)
    assert edited.status_code == 200, edited.text
    assert await whole(tasks, task_id) == before
    await tasks.post(f"{task_id}/resume")
    view = await tasks.wait(task_id, "WAIT_RFC", "DONE")
    if view["stage"] == "WAIT_RFC":
        await tasks.accept(view)
        view = await tasks.wait(task_id, "DONE")
    found = await whole(tasks, task_id)
    assert found[: len(before)] == before and rounds(found[len(before) :]) == [1, 2, 3]
    assert {message["version"] for message in found} == {1, 2} and found[-1]["version"] == 2


async def test_pages_are_bounded_and_their_members_keep_their_order(own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"rounds": 4, "size": 8_000}, agent_type="talking", auto_accept=True)
    await tasks.wait(task_id, "DONE")
    two = await page(tasks, task_id, bytes=8_130)
    assert [message["position"] for message in two["items"]] == [1, 2] and (two["next"], two["count"]) == (2, 8)
    assert [message["position"] for message in (await page(tasks, task_id, after=1, bytes=1))["items"]] == [2]
    end = await page(tasks, task_id, newest=True, limit=1)
    assert [message["position"] for message in end["items"]] == [8] and list(end["items"][0]["data"]) == [
        "role",
        "content",
    ]
    assert await page(tasks, task_id, after=8) == {"items": [], "next": 8, "count": 8}
    for wrong in ({"after": -1}, {"limit": 0}, {"limit": 1_001}, {"bytes": 0}, {"bytes": 10**9}, {"after": "x"}):
        problem = await page(tasks, task_id, 422, **wrong)
        assert problem["field"].endswith(next(iter(wrong))), problem


async def test_a_task_without_messages_and_what_is_nobodys(own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.create({"rounds": 1}, agent_type="talking")
    assert await page(tasks, task_id) == {"items": [], "next": 0, "count": 0}
    await page(tasks, str(uuid.uuid4()), 404)
    stranger = {"X-User-Email": "stranger.transcripts@example.com"}
    answer = await tasks.client.get(f"/api/tasks/{task_id}/transcript", headers=stranger)
    assert answer.status_code == 404


async def test_deletion_removes_it(own: Own, database: Database) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"rounds": 80}, agent_type="talking", auto_accept=True)
    await tasks.wait(task_id, "DONE")
    connection = KeptConnection(database)
    statement = "SELECT count(*) FROM transcript_messages WHERE subject_id = %(id)s"
    try:
        assert await connection.rows(statement, {"id": uuid.UUID(task_id)}) == [(160,)]
        assert (await tasks.client.delete(f"/api/tasks/{task_id}")).status_code == 204
        assert await connection.rows(statement, {"id": uuid.UUID(task_id)}) == [(0,)]
    finally:
        await connection.close()
    await page(tasks, task_id, 404)


# On the command line


async def run(own: Own, *words: str) -> Done:
    client = own.tasks.client
    environment = {**os.environ, "PAVO_URL": str(client.base_url), "PAVO_USER": client.headers["x-user-email"]}
    return await asyncio.to_thread(pavo, ["task", "transcript", *words], environment)


async def test_the_command_prints_it(own: Own, database: Database) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"rounds": 60, "size": 4_000}, agent_type="talking", auto_accept=True)
    await tasks.wait(task_id, "DONE")
    connection = KeptConnection(database)
    try:
        evil = json.dumps({"role": "\x1b[2Juser", "content": "one\ntwo \x1b]0;gone\x07", "more": ["\u202e"]})
        await connection.rows(
            "UPDATE transcript_messages SET body = %(body)s WHERE subject_id = %(id)s AND position = 120 RETURNING 1",
            {"body": evil, "id": uuid.UUID(task_id)},
        )
    finally:
        await connection.close()
    lines = [json.loads(line) for line in (await run(own, task_id, "-o", "json")).stdout.splitlines()]
    assert [line["position"] for line in lines] == list(range(1, 121)) and lines[-1]["data"] == json.loads(evil)
    shown = await run(own, task_id, "--last", "1")
    assert shown.returncode == 0 and "\x1b" not in shown.stdout and "\u202e" not in shown.stdout
    assert shown.stdout.splitlines()[0] == "120 \\u001b[2Juser (checkpoint 60)"
    assert shown.stdout.splitlines()[1:3] == ["    one", "    two \\u001b]0;gone\\u0007"]
    after = (await run(own, task_id, "--after", "119", "-o", "json")).stdout.splitlines()
    assert [json.loads(line)["position"] for line in after] == [120]
    for wrong in (["--after=-1"], ["--last", "0"]):
        refused = await run(own, task_id, *wrong)
        assert refused.returncode == 2 and wrong[0].split("=")[0] in refused.stderr
    empty = await run(own, await tasks.create({}, agent_type="talking"))
    assert empty.returncode == 0 and empty.stdout == "" and "no messages" in empty.stderr
