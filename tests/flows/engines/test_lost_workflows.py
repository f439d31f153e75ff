"""A run whose workflow is gone has failed, and none of its steps is shown as if it went on."""

import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text

from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import holding, recording
from pavo.flows.ledger.changes import Began, ResultKey
from pavo.flows.ledger.records import TEMPORAL
from pavo.flows.runs import RunService
from pavo.flows.temporal.reconcile import FlowRows
from pavo.kit.sql import Database


async def test_a_run_that_is_lost_says_so_and_what_was_in_flight_with_it(
    database: Database, organisation: uuid.UUID, define: Callable[..., Definition]
) -> None:
    service, rows = RunService(database), FlowRows(database)
    run = await service.begin(organisation, define("flow: f\nsteps: {a: {sleep: 1h}, b: {sleep: 1h}}"), {}, TEMPORAL)
    async with database.transaction() as session:
        hold = await holding.claim_for_temporal(session, run, 0, "workflow")
        began = [Began(ResultKey("a"), repeatable=False), Began(ResultKey("b"), repeatable=True)]
        await recording.commit(session, hold, 0, began)
        await session.execute(
            text("UPDATE flow_runs SET created_at = created_at - interval '1 hour' WHERE id = :run"), {"run": run}
        )
    [row] = [each async for each in rows.running(timedelta(seconds=10)) if each.subject_id == run]
    assert await rows.explain(row, "its workflow is gone", "")
    assert not await rows.explain(row, "its workflow is gone", "")
    history = await service.history(organisation, run)
    assert (history.run.state, history.run.error) == ("failed", "its workflow is gone")
    assert {key.step: each.state for key, each in history.results.items()} == {"a": "unknown", "b": "cancelled"}
    assert all(each.ended_at is not None for each in history.results.values())
