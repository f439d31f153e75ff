"""What attempts take: checkpoints, calls of tools, wall time; noted where an attempt ends, whichever way."""

import uuid
from typing import Any

import httpx2
import pytest_asyncio
from sqlalchemy import text

from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.usage.domain import Sums
from pavo.usage.repository import Chosen, total
from tests.driving import Tasks
from tests.usage.spending import Organisation

BY = ("task", "agent", "user", "organisation", "day")


@pytest_asyncio.fixture
async def org(database: Database) -> Organisation:
    return await Organisation.new(database)


async def change(org: Organisation, task: Subject, values: str, **given: Any) -> None:
    statement = text(f"UPDATE executions SET {values} WHERE task_id = :task")
    async with org.database.transaction() as session:
        await session.execute(statement, {"task": task.id, **given})


async def sums(org: Organisation) -> Sums:
    async with org.database.reading() as session:
        return await total(session, Chosen([org.id]))


async def worked(org: Organisation, task: Subject, seconds: int) -> None:
    """So long ago it began."""
    await change(org, task, "opened_at = opened_at - CAST(:ago AS interval)", ago=f"{seconds} seconds")


async def test_each_end_of_an_attempt_is_counted_once(org: Organisation) -> None:
    task = await org.task()
    assert await sums(org) == Sums(checkpoints=0, tool_calls=0, working_seconds=0.0)
    await change(org, task, "epoch = epoch + 1, holder = 'a'")
    await worked(org, task, 100)
    await change(org, task, "step = step + 3")
    under_way = await sums(org)
    assert under_way.checkpoints == 3 and 100 <= (under_way.working_seconds or 0) < 160, "so far"
    await change(org, task, "holder = NULL")
    ended = await sums(org)
    assert ended.checkpoints == 3 and 100 <= (ended.working_seconds or 0) < 160
    await change(org, task, "epoch = epoch + 1")  # a plan is made: that is no attempt
    assert await sums(org) == ended

    # One whose worker was lost counts until the last thing that its task recorded: nothing since it began.
    await change(org, task, "epoch = epoch + 1, holder = 'a'")
    await change(org, task, "step = step + 1")
    await worked(org, task, 1_000)
    await change(org, task, "epoch = epoch + 1, holder = 'b'")
    await change(org, task, "step = step + 1, holder = NULL")
    last = await sums(org)
    assert last.checkpoints == 4, "the step that came with the end was another statement's"
    assert (last.working_seconds or 0) < (ended.working_seconds or 0) + 60


async def test_what_a_deleted_task_took_stays_with_its_organisation(org: Organisation) -> None:
    task = await org.task()
    called = text("""
        INSERT INTO tool_calls (id, subject_id, scope, identity, tool, arguments, arguments_hash, effect, state, epoch)
        SELECT gen_random_uuid(), :task, 'v1', n::text, 'pay', '{}', 'h', 'read', CASE n WHEN 1 THEN 'denied'
            WHEN 2 THEN 'asked' ELSE 'done' END, 1
        FROM generate_series(1, 5) n
    """)
    async with org.database.transaction() as session:
        await session.execute(called, {"task": task.id})
    await change(org, task, "epoch = epoch + 1, holder = 'a'")
    await change(org, task, "step = step + 2")
    before = await sums(org)
    assert (before.checkpoints, before.tool_calls) == (2, 3)
    async with org.database.transaction() as session:
        for statement in (
            "UPDATE tasks SET deleted_at = pavo_now() WHERE id = :task",
            "DELETE FROM executions WHERE task_id = :task",
        ):
            await session.execute(text(statement), {"task": task.id})
        await session.execute(text("DELETE FROM tool_calls WHERE subject_id = :task"), {"task": task.id})
    after = await sums(org)
    assert (after.checkpoints, after.tool_calls) == (2, 3)


async def test_over_http(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    who = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=client.base_url, headers=who, timeout=30) as mine:
        own = Tasks(mine)
        task_id = await own.started({"steps": 7, "step_seconds": 0.01}, auto_accept=True)
        task = await own.wait(task_id, "DONE")
        used = task["usage"]
        assert used["checkpoints"] == task["steps"] == 7 and 0 < used["working_seconds"] < 600
        assert (used["calls"], used["lost"], used["unpriced"], used["tokens_cached"], used["tool_calls"]) == (0,) * 5
        for by in BY:
            (item,) = (await mine.get("/api/usage", params={"by": by})).json()["items"]
            assert (item["checkpoints"], item["calls"], item["tool_calls"]) == (7, 0, 0), by
            assert item["working_seconds"] == used["working_seconds"]
        for by in ("call", "model"):
            found = (await mine.get("/api/usage", params={"by": by})).json()
            assert found["items"] == [] and found["total"]["checkpoints"] == 7
        assert (await mine.delete(f"/api/tasks/{task_id}")).status_code == 204
        (item,) = (await mine.get("/api/usage", params={"by": "task"})).json()["items"]
        assert (item["checkpoints"], item["label"]) == (7, None)
