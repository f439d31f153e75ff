"""What is kept of firings, and for how long."""

import uuid

from sqlalchemy import text

from pavo.kit.sql import Database
from pavo.triggers import repository
from pavo.triggers.domain import KEPT
from pavo.triggers.firing import ledger
from tests.triggers.sending import Triggers, hub_signed


async def prune(database: Database) -> None:
    async with database.transaction() as session:
        await repository.drop(session, 1_000)
    async with database.transaction() as session:
        await ledger.prune(session, KEPT)


async def count(database: Database, trigger_id: str) -> tuple[int, int]:
    """Rows of a trigger, and those that hold anything."""
    query = text("SELECT count(*), count(coalesce(payload, body)) FROM trigger_firings WHERE trigger_id = :id")
    async with database.reading() as session:
        rows, full = (await session.execute(query, {"id": uuid.UUID(trigger_id)})).one()
    return rows, full


async def test_old_ones_go_but_what_counts_by_its_body_counts_once_for_ever(
    triggers: Triggers, database: Database
) -> None:
    made = await triggers.create()
    await triggers.send(made)
    by_body = await triggers.send(made, sign=hub_signed)
    await prune(database)
    assert await count(database, made["id"]) == (2, 2)
    past = text("UPDATE trigger_firings SET created_at = created_at - interval '31 days' WHERE trigger_id = :id")
    async with database.transaction() as session:
        await session.execute(past, {"id": uuid.UUID(made["id"])})
    await prune(database)
    assert await count(database, made["id"]) == (1, 0)
    assert await triggers.send(made, sign=hub_signed) == {**by_body, "repeated": True}


async def test_of_one_that_was_removed_nothing_is_left(triggers: Triggers, database: Database) -> None:
    made = await triggers.create()
    taken = await triggers.send(made)
    await triggers.ask("DELETE", f"/{made['id']}", status=204)
    await prune(database)
    assert await count(database, made["id"]) == (0, 0)
    async with database.reading() as session:
        assert await repository.whatever(session, uuid.UUID(made["id"])) is None
    assert (await triggers.client.get(f"/api/tasks/{taken['subject_id']}")).status_code == 200, "what it started stays"
