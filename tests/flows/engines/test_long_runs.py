"""Runs that are too long for one history, and attempts of workers that were taken for lost."""

import uuid

from sqlalchemy import text
from temporalio.client import Client

from pavo.flows.ledger import recording
from pavo.flows.ledger.changes import Ended, ResultKey, Unknown
from pavo.flows.ledger.records import TEMPORAL, Hold
from pavo.flows.scheduler import Status
from pavo.flows.temporal.contracts import SIGNAL_LOOK, start_id
from pavo.kit.sql import Database
from tests.driving import until
from tests.flows.engines.conftest import Engine
from tests.flows.local.doubles import Called


async def test_a_list_of_many_items_is_done_item_by_item(engine: Engine, tools: Called) -> None:
    each = "for_each: {in: '${{ inputs.all }}', as: n, max: 100, parallel: 16}"
    inputs = f"inputs: {{all: {{type: array, default: {list(range(60))}}}}}"
    found = await engine.run(
        f"flow: f\n{inputs}\nresult: '${{{{ steps.a.output }}}}'\n"
        f"steps: {{a: {{tool: echo@1, {each}, with: {{value: '${{{{ n }}}}'}}}}}}"
    )
    assert (found.state, found.result) == ("succeeded", list(range(60))), found.error
    assert len(tools.calls) == 60


async def test_an_attempt_that_was_taken_for_lost_and_ends_answers_its_question(
    engine: Engine, database: Database, temporal: Client
) -> None:
    if engine.name != TEMPORAL:
        return
    run = await engine.begin("flow: f\nresult: '${{ steps.a.output }}'\nsteps: {a: {tool: hangs@1}}")

    async def is_claimed() -> bool:
        query = text("SELECT count(*) FROM flow_results WHERE run_id = :run AND taken_by IS NOT NULL")
        async with database.reading() as session:
            return bool((await session.scalars(query, {"run": run})).one())

    await until(is_claimed)
    record, key, token = (await engine.history(run)).run, ResultKey("a"), str(uuid.uuid4())
    assert record.holder is not None
    hold = Hold(run, TEMPORAL, record.epoch, record.holder)
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE flow_results SET taken_by = :token WHERE run_id = :run"), {"token": token, "run": run}
        )
        await recording.report(session, hold, key, 1, Unknown(key, "its worker is silent"), "another one")
    assert (await engine.states(run)) == {"a": "unknown"}
    async with database.transaction() as session:
        assert not await recording.report(session, hold, key, 1, Ended(key, Status.SUCCEEDED, 7), "a stranger")
        assert await recording.report(session, hold, key, 1, Ended(key, Status.SUCCEEDED, 7), token)
    await temporal.get_workflow_handle(start_id(str(run), record.epoch)).signal(SIGNAL_LOOK)
    found = await engine.go_on(run)
    assert (found.state, found.result) == ("succeeded", 7)
