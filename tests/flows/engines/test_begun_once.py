"""The run that a step is: one, however often and by whomever it is begun."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import text

from pavo.errors import Conflict
from pavo.flows.attempts import Given
from pavo.flows.awaited.children import ChildRuns
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import histories, holding, recording, versions
from pavo.flows.ledger.changes import Again, Awaiting, Began, Ended, ResultKey, Retrying
from pavo.flows.ledger.records import Hold
from pavo.flows.runs import RunService
from pavo.flows.scheduler import Status
from pavo.kit.sql import Database

KEY = ResultKey("down")


async def test_a_run_is_begun_once_for_each_try(
    database: Database, organisation: uuid.UUID, define: Callable[..., Definition]
) -> None:
    below = define("flow: below\nsteps: {nap: {sleep: 1ms}}")
    async with database.transaction() as session:
        await versions.publish(session, organisation, versions.declared(below), None)
    above = define("flow: above\nsteps: {down: {flow: below@1, retry: {max: 3}}}")
    step, children = above.flow.steps["down"], ChildRuns(database)
    run = await RunService(database).begin(organisation, above, {})

    async def claimed() -> Hold:
        async with database.transaction() as session:
            await session.execute(text("UPDATE flow_runs SET lease_until = NULL WHERE id = :run"), {"run": run})
            found = await holding.claim(session, "a", 60, run)
        assert found is not None
        return found

    async def write(hold: Hold, *changes: recording.Change) -> None:
        async with database.transaction() as session:
            seq = (await histories.run_of(session, run)).seq
            await recording.commit(session, hold, seq, changes)

    async def deep(depth: int) -> None:
        async with database.transaction() as session:
            values = {"run": run, "depth": depth}
            await session.execute(text("UPDATE flow_runs SET depth = :depth WHERE id = :run"), values)

    async def begin(attempt: int) -> uuid.UUID:
        given = Given(run, organisation, KEY, KEY.idempotency_key(run), attempt, "", {"with": {}})
        return await children.begin(step, given)

    hold = await claimed()
    with pytest.raises(Conflict, match="Nothing waits"):
        await begin(1)
    await write(hold, Began(KEY, repeatable=True))
    await deep(8)
    with pytest.raises(Conflict, match="8 others above"):
        await begin(1)
    await deep(7)
    first, same = await asyncio.gather(begin(1), begin(1))
    assert first == same

    hold = await claimed()  # the engine was lost before it could write what it awaits
    await write(hold, Again(KEY))
    with pytest.raises(Conflict, match="Nothing waits"):
        await begin(1)  # the older copy wakes
    assert await begin(2) == first

    await write(hold, Awaiting(KEY, "run", first))
    with pytest.raises(Conflict, match="Nothing waits"):
        await begin(2)
    async with database.transaction() as session:
        change = Retrying(KEY, above.flow.steps["down"].retry.first, "failed")  # type: ignore[union-attr]
        assert await recording.settle(session, run, KEY, first, change) is not None
    await write(hold, Again(KEY))
    second = await begin(3)
    assert second not in (first, None) and await begin(3) == second
    await write(hold, Ended(KEY, Status.FAILED, error="enough"))
    with pytest.raises(Conflict, match="Nothing waits"):
        await begin(3)
    async with database.reading() as session:
        counted = await session.execute(text("SELECT count(*) FROM flow_runs WHERE parent_id = :run"), {"run": run})
    assert counted.scalar_one() == 2
