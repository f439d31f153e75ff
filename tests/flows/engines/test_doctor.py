"""Rows and workflows that really disagree, in a database of their own: workers would repair them beside the test."""

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from pavo.flows.definition.definition import Definition
from pavo.flows.doctoring import doctor as doctor_module
from pavo.flows.doctoring.doctor import FlowDoctor
from pavo.flows.doctoring.schemas import FlowFinding
from pavo.flows.ledger import holding, recording
from pavo.flows.ledger.changes import Began, ResultKey
from pavo.flows.ledger.records import LOCAL, TEMPORAL
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.contracts import start_id
from pavo.flows.temporal.reconcile import FlowRows
from pavo.flows.wiring import KIND
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.runs.reconcile import Reconciler
from tests.driving import until
from tests.jobs.shell import shell_of
from tests.parts import Stores, drop_database, new_database

NAP = "flow: nap\nsteps: {a: {sleep: 1h}}"
CALLS = "flow: calls\nsteps: {a: {tool: mail.send@1, with: {}}, b: {needs: [a], tool: time.now@1, with: {}}}"


@pytest_asyncio.fixture(scope="module")
async def apart(stores: Stores) -> AsyncIterator[Database]:
    url = new_database(stores)
    upgrade(url)
    found = Database(url, pool_size=4, pool_timeout=60)
    yield found
    await found.close()
    drop_database(stores, url)


@dataclass
class Ward:
    """An organisation, and who looks at its runs."""

    database: Database
    organisation: uuid.UUID
    commands: FlowCommands
    doctor: FlowDoctor

    async def begin(self, definition: Definition, engine: str) -> uuid.UUID:
        """An old one."""
        run = await RunService(self.database).begin(self.organisation, definition, {}, engine)
        await self.sql("UPDATE flow_runs SET created_at = created_at - interval '1 hour' WHERE id = :run", run)
        return run

    async def sql(self, statement: str, run: uuid.UUID) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement), {"run": run})

    async def claim(self, run: uuid.UUID) -> None:
        """As its workflow does, with a step under way."""
        async with self.database.transaction() as session:
            hold = await holding.claim_for_temporal(session, run, 0, "workflow")
            await recording.commit(session, hold, 0, [Began(ResultKey("a"), repeatable=False)])

    async def look(self, *, repair: bool = False, tools: list[str] | None = None) -> dict[uuid.UUID, FlowFinding]:
        found = await self.doctor.look(self.organisation, ["time.now"] if tools is None else tools, repair=repair)
        assert not found.unchecked and found.whole
        assert found.ok == all(each.repaired for each in found.findings)
        return {each.run_id: each for each in found.findings}

    async def state(self, run: uuid.UUID) -> str:
        return (await RunService(self.database).states([run]))[run]


@pytest_asyncio.fixture
async def ward(apart: Database, temporal: Client) -> Ward:
    organisation, queue = uuid.uuid4(), f"nobody-{uuid.uuid4().hex[:8]}"
    async with apart.transaction() as session:
        await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'o')"), {"id": organisation})
    commands, rows = FlowCommands(temporal, queue), FlowRows(apart)
    doctor = FlowDoctor(apart, KIND, rows, Reconciler([(KIND, rows)], temporal), commands)
    return Ward(apart, organisation, commands, doctor)


async def listed(ward: Ward, temporal: Client, run: uuid.UUID, count: int) -> None:
    """Temporal lists so many workflows of the run as running: what it lists comes a moment later."""

    async def look() -> bool:
        query = f"WorkflowType = 'FlowRun' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'flow:{run}'"
        return len([each async for each in temporal.list_workflows(query)]) == count

    await until(look, what=f"{count} workflows of {run}")


async def test_a_run_that_lost_its_workflow_is_explained(
    ward: Ward, temporal: Client, define: Callable[..., Definition]
) -> None:
    lost, well = [await ward.begin(define(NAP), TEMPORAL) for _ in range(2)]
    for run in (lost, well):
        await ward.commands.start(run, 0)
        await ward.claim(run)
    await temporal.get_workflow_handle(start_id(str(lost), 0)).terminate("the test ends it")
    await listed(ward, temporal, lost, 0)
    await listed(ward, temporal, well, 1)
    found = await ward.look()
    assert [*found] == [lost] and found[lost].what == "workflow_lost" and found[lost].repairable
    assert "terminated" in found[lost].told and await ward.state(lost) == "running", "nothing was changed"
    repaired = await ward.look(repair=True)
    assert repaired[lost].repaired and await ward.state(lost) == "failed"
    assert await ward.look() == {} and await ward.state(well) == "running"
    await ward.commands.end(well, 0, "the test is over")


async def test_a_run_that_was_never_started_is(ward: Ward, temporal: Client, define: Callable[..., Definition]) -> None:
    run = await ward.begin(define(NAP), TEMPORAL)
    assert (await ward.look())[run].what == "workflow_not_started"
    assert not await ward.commands.is_open(run, 0)
    assert (await ward.look(repair=True))[run].repaired
    assert await ward.commands.is_open(run, 0)
    assert await ward.look() == {}
    await ward.commands.end(run, 0, "the test is over")


async def test_workflows_of_runs_that_are_over_or_elsewhere_end(
    ward: Ward, temporal: Client, define: Callable[..., Definition]
) -> None:
    over, elsewhere, just = [await ward.begin(define(NAP), TEMPORAL) for _ in range(3)]
    for run in (over, elsewhere, just):
        await ward.commands.start(run, 0)
    await ward.commands.start(elsewhere, 1)
    end = "UPDATE flow_runs SET state = 'cancelled', ended_at = pavo_now() - interval '{}' WHERE id = :run"
    await ward.sql(end.format("1 hour"), over)
    await ward.sql(end.format("1 second"), just)
    await ward.sql("UPDATE flow_runs SET epoch = 1 WHERE id = :run", elsewhere)
    for run, count in ((over, 1), (elsewhere, 2), (just, 1)):
        await listed(ward, temporal, run, count)
    found = await ward.look()
    assert {run: each.what for run, each in found.items()} == dict.fromkeys((over, elsewhere), "workflow_left")
    repaired = await ward.look(repair=True)
    assert all(repaired[run].repaired for run in (over, elsewhere))
    assert not await ward.commands.is_open(over, 0) and not await ward.commands.is_open(elsewhere, 0)
    assert await ward.commands.is_open(elsewhere, 1) and await ward.commands.is_open(just, 0)
    assert await ward.look() == {}
    for run, epoch in ((elsewhere, 1), (just, 0)):
        await ward.commands.end(run, epoch, "the test is over")


async def test_what_nobody_executes_is_told_with_what_is_missing(
    ward: Ward, define: Callable[..., Definition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_module, "AGAIN_SECONDS", 0.05)
    nobodys, expired, well, waits = [await ward.begin(define(CALLS), LOCAL) for _ in range(4)]
    claim = "state = 'running', holder = 'x', lease_until = pavo_now() + interval"
    lease = f"UPDATE flow_runs SET {claim} '{{}}' WHERE id = :run"
    await ward.sql(lease.format("-1 hour"), expired)
    await ward.sql(lease.format("1 hour"), well)
    await ward.sql("UPDATE flow_runs SET wake_at = pavo_now() + interval '1 hour' WHERE id = :run", waits)
    found = await ward.look(repair=True)
    assert {run: each.what for run, each in found.items()} == {nobodys: "nobody_executes", expired: "lease_expired"}
    for each in found.values():
        assert "mail.send" in each.told and "time.now" not in each.told
        assert (each.repairable, each.repaired) == (False, None)
    told = (await ward.look(tools=["mail.send", "time.now"]))[nobodys]
    assert "no worker takes it" in told.told and "Start a worker" in told.remedy
    unknown = await ward.doctor.look(ward.organisation, None)
    assert not unknown.ok and unknown.unchecked
    others = await ward.doctor.look(uuid.uuid4(), ["time.now"])
    assert others.ok and others.looked_at == 0


async def test_a_run_on_temporal_whose_tools_are_gone_is_told(
    ward: Ward, temporal: Client, define: Callable[..., Definition]
) -> None:
    run = await ward.begin(define(CALLS), TEMPORAL)
    await ward.commands.start(run, 0)
    await listed(ward, temporal, run, 1)
    found = await ward.look()
    assert found[run].what == "tools_missing" and "mail.send" in found[run].told
    await ward.commands.end(run, 0, "the test is over")


async def test_it_is_typed(stack: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    shell = shell_of(monkeypatch, stack, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])
    assert "Nothing is wrong" in (await shell.type("flow", "doctor")).stdout
    repaired: Any = orjson.loads((await shell.type("flow", "doctor", "--repair", "-o", "json")).stdout)
    assert repaired == {"ok": True, "looked_at": 0, "whole": True, "unchecked": [], "findings": []}
