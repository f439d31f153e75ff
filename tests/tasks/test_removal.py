"""What remains of a deleted task: one row without content, whatever stood in the way of its removal."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import psycopg
import pytest_asyncio
from alembic import command
from redis.asyncio import Redis

from pavo.config import Settings
from pavo.deploy.checks.migrations import Effect, locks
from pavo.kit import migrate
from pavo.kit.ids import new_id
from pavo.kit.sql import Base, Database, KeptConnections
from pavo.tasks.sql import removal
from pavo.tasks.sql.removal import HOLDINGS
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from pavo.timeline.follow import Follower
from tests.driving import QUICK, Tasks, until
from tests.parts import Stores, drop_database, new_database

ROOTS = {"tasks", "timelines"}
NOW = timedelta(0)
TOLD = """
WITH webhook AS (
    INSERT INTO webhooks (id, organisation_id, url, events, enabled)
    SELECT gen_random_uuid(), organisation_id, 'https://example.com/' || id, '{}', false FROM tasks WHERE id = %(id)s
    RETURNING id
), printed AS (
    INSERT INTO task_logs (task_id, attempt, body, bytes) VALUES (%(id)s, 1, 'x', 1)
), asked AS (
    INSERT INTO gates (id, organisation_id, subject_id, scope, kind, key, body, hash, schema, state)
    SELECT gen_random_uuid(), organisation_id, id, 'v1', 'question', 'x', 'x?', 'h', '{}', 'paused' FROM tasks
    WHERE id = %(id)s
), called AS (
    INSERT INTO tool_calls (id, subject_id, scope, identity, tool, arguments, arguments_hash, effect, epoch)
    VALUES (gen_random_uuid(), %(id)s, 'v1', 'x', 'x', '{}', 'h', 'read', 1)
), said AS (
    INSERT INTO tool_policies (id, organisation_id, subject_id, tool, decision)
    SELECT gen_random_uuid(), organisation_id, id, 'x', 'ask' FROM tasks WHERE id = %(id)s
), delegated AS (
    INSERT INTO delegations (child_id, parent_id, scope, identity, hash, root_id, depth)
    VALUES (%(id)s, %(id)s, 'v1', 'x', 'h', %(id)s, 1)
), followed AS (
    INSERT INTO follow_ups (task_id, first_seq, plan_id, report_id) VALUES (%(id)s, 1, %(id)s, %(id)s)
), talked AS (
    INSERT INTO transcript_messages (subject_id, position, version, step, body, bytes) VALUES (%(id)s, 1, 1, 1, '{}', 2)
), paid AS (
    INSERT INTO usage_calls (call_id, epoch, state, organisation_id, task_id, agent, model, tokens_in, tokens_out,
        tokens_cached, seconds)
    SELECT gen_random_uuid(), 1, 'settled', organisation_id, id, 'x', 'x', 1, 1, 0, 1 FROM tasks WHERE id = %(id)s
), worked AS (
    INSERT INTO usage_attempts (id, organisation_id, task_id, agent, steps, tools, seconds, at)
    SELECT gen_random_uuid(), organisation_id, id, 'x', 1, 0, 1, pavo_now() FROM tasks WHERE id = %(id)s
), bounded AS (
    INSERT INTO budgets (id, organisation_id, task_id, period, max_tokens, began)
    SELECT gen_random_uuid(), organisation_id, id, 'life', 1, pavo_now() FROM tasks WHERE id = %(id)s RETURNING id
), answered AS (
    INSERT INTO budget_asks (budget_id, task_id) SELECT id, %(id)s FROM bounded
), reserved AS (
    INSERT INTO budget_reservations (call_id, epoch, organisation_id, task_id, agent, model, tokens, at)
    SELECT gen_random_uuid(), 1, organisation_id, id, 'x', 'x', 1, pavo_now() FROM tasks WHERE id = %(id)s
), kept AS (
    INSERT INTO artifacts (id, organisation_id, subject_id, name, media_type, bytes, sha256)
    SELECT gen_random_uuid(), organisation_id, id, 'x', 'text/plain', 1, repeat('0', 64) FROM tasks WHERE id = %(id)s
), opened AS (
    INSERT INTO gateway_tokens (hash, task_id, organisation_id, epoch, scope)
    SELECT id::text::bytea, id, organisation_id, 1, 'v1' FROM tasks WHERE id = %(id)s
), asked_models AS (
    INSERT INTO model_calls (id, subject_id, scope, identity, request_hash, endpoint, model, epoch)
    VALUES (gen_random_uuid(), %(id)s, 'v1', 'x', 'h', 'default', 'x', 1)
)
INSERT INTO webhook_deliveries (webhook_id, type, task_id, data, state)
SELECT id, 'task.waiting', %(id)s, '{}', 'delivered' FROM webhook RETURNING id
"""
"""A webhook was told of the task, its agent printed, asked, called a tool and a model, recorded a message and kept a
file; it has a policy of its own."""


@pytest_asyncio.fixture
async def connections(database: Database) -> AsyncIterator[KeptConnections]:
    found = KeptConnections(database, 1)
    yield found
    await found.close()


async def held(connections: KeptConnections, task_id: str) -> dict[str, int]:
    """How many rows each table has of a task."""
    found: dict[str, int] = {}
    for holding in HOLDINGS:
        statement: Any = f"SELECT count(*) FROM {holding.table} WHERE {holding.key} = %(id)s"
        if holding.table == "webhook_deliveries":
            statement += " AND state <> 'pending'"  # what waits is delivered nevertheless
        found[holding.table] = (await connections.rows(statement, {"id": uuid.UUID(task_id)}))[0][0]
    return {table: count for table, count in found.items() if count}


async def commented(tasks: Tasks, key: str) -> str:
    """A task with a report, two plans, feedback, a message, events, a checkpoint and an Idempotency-Key."""
    body = {"title": "To be deleted", "prompt": "Secret", "agent_options": QUICK}
    answer = await tasks.client.post("/api/tasks", json=body, headers={"Idempotency-Key": key})
    path = answer.json()["id"]
    await tasks.post(f"{path}/start")
    plan = (await tasks.wait(path, "WAIT_RFC"))["plan"]["document_id"]
    await tasks.post(f"{path}/documents/{plan}/feedback", 201, body="Consider this.")
    said = await tasks.client.post(
        f"/api/tasks/{path}/messages", json={"body": "Consider that, too."}, headers={"Idempotency-Key": f"{key}-said"}
    )
    assert said.status_code == 201
    await tasks.post(f"{path}/plan/done-reviewing")

    async def revised() -> bool:
        task = await tasks.get(path)
        return task["stage"] == "WAIT_RFC" and task["plan"]["version"] == 2

    await until(revised, what="the second version")
    await tasks.accept(await tasks.get(path))
    await tasks.wait(path, "DONE")
    return path


async def finished(database: Database, connections: KeptConnections, task_id: str) -> None:
    """The rounds of the reconciler until nothing is left to do for this task."""
    while "removals" in await held(connections, task_id):
        await removal.go_on(database, age=NOW)


async def test_one_row_without_content_remains(
    tasks: Tasks, client: httpx2.AsyncClient, database: Database, connections: KeptConnections
) -> None:
    key = str(uuid.uuid4())
    path, other = await commented(tasks, key), await commented(tasks, str(uuid.uuid4()))
    for task_id in (path, other):
        await connections.rows(TOLD, {"id": uuid.UUID(task_id)})
    assert set(await held(connections, path)) == {holding.table for holding in HOLDINGS} - {"removals"}
    untouched = await held(connections, other)
    assert (await client.delete(f"/api/tasks/{path}")).status_code == 204
    assert set(await held(connections, path)) == {"tasks", "idempotency_keys", "events", "timelines", "removals"}

    await finished(database, connections, path)
    assert await held(connections, path) == {"tasks": 1, "idempotency_keys": 1}
    said = "SELECT count(*) FROM idempotency_keys WHERE key = %(key)s"
    assert await connections.rows(said, {"key": f"{key}-said"}) == [(0,)]
    row = "SELECT title, prompt, agent_options, error, receipt FROM tasks WHERE id = %(id)s"
    assert await connections.rows(row, {"id": uuid.UUID(path)}) == [("", "", {}, None, None)]
    for headers in ({}, {"Last-Event-ID": "3"}, {"Last-Event-ID": "100000"}):
        assert (await client.get(f"/api/tasks/{path}/stream", headers=headers)).status_code == 204
    body = {"title": "To be deleted", "prompt": "Secret", "agent_options": QUICK}
    again = await client.post("/api/tasks", json=body, headers={"Idempotency-Key": key})
    assert again.status_code == 409 and "exists no more" in again.json()["detail"]
    assert (await client.get(f"/api/tasks/{path}")).status_code == 404
    assert await held(connections, other) == untouched


async def test_a_removal_that_ended_half_way_goes_on_in_bounded_transactions(
    tasks: Tasks, database: Database, connections: KeptConnections
) -> None:
    path = await tasks.create()
    task_id = uuid.UUID(path)
    batch = next(holding.batch for holding in HOLDINGS if holding.table == "events")
    async with database.transaction() as session:
        # With what is there, exactly so many that the batches are full to the last.
        await timeline.append(session, task_id, [NewEvent("x", {"n": n}) for n in range(3 * batch - 2)])
    assert (await tasks.client.delete(f"/api/tasks/{path}")).status_code == 204
    assert (await held(connections, path))["events"] == 3 * batch
    await removal.go_on(database, age=timedelta(hours=1))
    assert (await held(connections, path))["events"] == 3 * batch, "who follows has time to see the end"

    left = 3 * batch
    while left:
        # Older removals of other tests may take a turn each; what is asserted is the size of this one's steps.
        await removal.go_on(database, age=NOW, batches=1)
        now_left = (await held(connections, path)).get("events", 0)
        assert left - now_left <= batch
        if now_left:
            rows = await connections.rows(
                "SELECT type FROM events WHERE timeline_id = %(id)s ORDER BY seq DESC LIMIT 1", {"id": task_id}
            )
            assert rows == [("deleted",)], "the end is there as long as the timeline is"
            assert (await tasks.client.get(f"/api/tasks/{path}/stream")).status_code == 204
        left = now_left
    await finished(database, connections, path)
    assert await held(connections, path) == {"tasks": 1}


COUNTING = """
CREATE TABLE test_deletions (events bigint);
CREATE FUNCTION test_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_deletions SELECT count(*) FROM gone;
    RETURN NULL;
END $$;
CREATE TRIGGER test_count AFTER DELETE ON events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION test_count()
"""
NOT_COUNTING = "DROP TRIGGER test_count ON events; DROP FUNCTION test_count(); DROP TABLE test_deletions"


async def test_two_that_remove_at_once_keep_their_transactions_bounded(
    tasks: Tasks, database: Database, settings: Settings, connections: KeptConnections
) -> None:
    """One that found nothing left, for the other had just deleted it, took the head, and with it all that was left."""
    path = await tasks.create()
    batch = next(holding.batch for holding in HOLDINGS if holding.table == "events")
    async with database.transaction() as session:
        await timeline.append(session, uuid.UUID(path), [NewEvent("x", {"n": n}) for n in range(20 * batch)])
    assert (await tasks.client.delete(f"/api/tasks/{path}")).status_code == 204
    with psycopg.connect(migrate.plain_url(settings.database.url), autocommit=True) as connection:
        connection.execute(COUNTING)
        try:
            while "removals" in await held(connections, path):
                await asyncio.gather(*(removal.go_on(database, age=NOW) for _ in range(4)))
            found = connection.execute("SELECT max(events), sum(events) FROM test_deletions").fetchone()
        finally:
            connection.execute(NOT_COUNTING)
    assert found is not None and found[0] <= batch and found[1] >= 20 * batch
    assert await held(connections, path) == {"tasks": 1}


async def test_a_slow_viewer_sees_the_end(
    tasks: Tasks, database: Database, connections: KeptConnections, settings: Settings
) -> None:
    """One that is thousands of events behind when the task is deleted, and one that comes back to an emptied one."""
    path = await tasks.create()
    async with database.transaction() as session:
        await timeline.append(session, uuid.UUID(path), [NewEvent("x", {"n": n}) for n in range(1_500)])
    async with Redis.from_url(settings.redis.url) as redis:
        follower = Follower(database, redis)
        await follower.start()
        slow, late = follower.follow(uuid.UUID(path), 0), follower.follow(uuid.UUID(path), 700)
        first = await anext(slow)
        assert (await tasks.client.delete(f"/api/tasks/{path}")).status_code == 204
        while (await held(connections, path)).get("events", 0) > 600:
            await removal.go_on(database, age=NOW, batches=1)
        rest = await asyncio.wait_for(collect(slow), 10)
        assert b'"type":"deleted"' in rest[-1][1] and rest[-1][0] == 1_502
        seen = [seq for seq, _ in first + rest]
        assert seen == sorted(set(seen))
        await finished(database, connections, path)
        assert await asyncio.wait_for(collect(late), 10) == []
        await follower.close()


async def collect(stream: AsyncIterator[list[tuple[int, bytes]]]) -> list[tuple[int, bytes]]:
    return [event async for events in stream for event in events]


async def test_what_a_build_before_deletes_during_a_rollout_is_removed_too(
    tasks: Tasks, database: Database, connections: KeptConnections
) -> None:
    """It blanks the row and deletes the documents, and knows nothing of removals."""
    path = await commented(tasks, str(uuid.uuid4()))
    await connections.rows(
        "UPDATE tasks SET title = '', deleted_at = now() WHERE id = %(id)s RETURNING 1", {"id": uuid.UUID(path)}
    )
    assert "removals" in await held(connections, path)
    await finished(database, connections, path)
    assert await held(connections, path) == {"tasks": 1, "idempotency_keys": 1}
    rows = await connections.rows("SELECT prompt FROM tasks WHERE id = %(id)s", {"id": uuid.UUID(path)})
    assert rows == [("",)]


def test_every_table_that_holds_something_of_a_task_is_in_the_list(settings: Settings) -> None:
    """A new one fails here until `HOLDINGS` says how it is emptied: by the models, and by a migrated database."""
    listed = {(holding.table, holding.key) for holding in HOLDINGS}
    assert len(listed) == len(HOLDINGS) == len({holding.table for holding in HOLDINGS})
    models = {("tasks", "id"), ("timelines", "id")}
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if column.name == "task_id" or any(key.column.table.name in ROOTS for key in column.foreign_keys):
                models.add((table.name, column.name))
    assert models == listed
    with psycopg.connect(migrate.plain_url(settings.database.url)) as connection:
        named = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        found = {(t, c) for t, c in connection.execute(named) if c == "task_id"}
        keys = (
            "SELECT k.table_name, k.column_name FROM information_schema.key_column_usage k"
            " JOIN information_schema.referential_constraints r USING (constraint_schema, constraint_name)"
            " JOIN information_schema.table_constraints u ON u.constraint_name = r.unique_constraint_name"
            " WHERE u.table_name = ANY (%s)"
        )
        found |= set(connection.execute(keys, [sorted(ROOTS)]))
    assert found | {("tasks", "id"), ("timelines", "id")} == listed


def test_every_table_is_found_by_an_index(settings: Settings) -> None:
    with psycopg.connect(migrate.plain_url(settings.database.url)) as connection:
        first = (
            "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indisvalid"
        )
        indexed = set(connection.execute(first))
    emptied = {(h.table, h.key) for h in HOLDINGS}
    assert emptied <= indexed
    assert ("feedback", "answered_in") in indexed  # else each deleted document would read all feedback


def test_the_migration_notes_what_was_deleted_before(stores: Stores) -> None:
    url = new_database(stores)
    try:
        command.upgrade(migrate.config(url), "0004")
        with psycopg.connect(migrate.plain_url(url), autocommit=True) as connection:
            ids = {"org": new_id(), "user": new_id(), "gone": new_id(), "alive": new_id()}
            connection.execute("INSERT INTO organisations (id, name) VALUES (%(org)s, 'x')", ids)
            connection.execute("INSERT INTO users (id, email, organisation_id) VALUES (%(user)s, 'x@x', %(org)s)", ids)
            for name, deleted in (("gone", "now()"), ("alive", "NULL")):
                row: Any = (
                    "INSERT INTO tasks (id, organisation_id, created_by, title, prompt, agent_type, agent_options,"
                    f" stage, phase, workflow_id, deleted_at) VALUES (%({name})s, %(org)s, %(user)s, '', '', 'intern',"
                    f" '{{}}', 'DONE', 'over', '{name}', {deleted})"
                )
                connection.execute(row, ids)
            pending = migrate.pending_scripts(url)
            assert [script.revision for script in pending[:2]] == ["0005", "0006"]
            found = [{(lock.table, lock.effect) for lock in locks(script.sql or "")} for script in pending[:2]]
            assert found == [{("tasks", Effect.BRIEF)}, set()], "concurrent indexes lock nothing"
            migrate.upgrade(url)
            assert connection.execute("SELECT task_id FROM removals").fetchall() == [(ids["gone"],)]
        command.downgrade(migrate.config(url), "0003")
        command.upgrade(migrate.config(url), "head")
    finally:
        drop_database(stores, url)
