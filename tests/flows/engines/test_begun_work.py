"""Work that a step begins is known to its run, whenever that is cancelled: nothing goes on without anybody."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import Client

from pavo.flows.awaited.gates import GateWork
from pavo.flows.awaited.steps import StepsWithWork
from pavo.flows.awaited.watching import WorkWatch
from pavo.flows.definition.definition import Definition
from pavo.flows.driving import unheard
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.records import TEMPORAL
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.kit.sql import Database
from pavo.tools.registry import ToolRegistry
from tests.driving import until
from tests.flows.engines.workers import working
from tests.flows.local.doubles import Called, Pages

FLOW = "flow: asks\nsteps:\n  ask: {gate: {ask: members, question: May it?}}\n"


@pytest.mark.parametrize("when", ["while it is begun", "once it is begun"])
async def test_a_gate_ends_with_a_run_that_is_cancelled(
    database: Database,
    temporal: Client,
    evaluator: Evaluator,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    goes_on, is_there, opened = asyncio.Event(), asyncio.Event(), GateWork.open

    async def slowly(self: GateWork, *given: Any) -> uuid.UUID:
        is_there.set()
        await goes_on.wait()
        return await opened(self, *given)

    monkeypatch.setattr(GateWork, "open", slowly)
    queue = f"flows-{uuid.uuid4().hex}"
    commands = FlowCommands(temporal, queue)
    service = RunService(database, commands.hurry)
    registry = ToolRegistry({}, Called())
    steps = StepsWithWork(database, LocalSteps(registry, registry, Pages()), {})
    watch = WorkWatch(database, {}, commands.hurry, unheard)

    async def state() -> str:
        return (await service.history(organisation, run)).run.state

    async def in_state(wanted: str) -> bool:
        found = (await service.history(organisation, run)).results
        return [each.state for each in found.values()] == [wanted]

    async def gates() -> Mapping[uuid.UUID, str]:
        async with database.reading() as session:
            rows = await session.execute(text("SELECT id, state FROM gates WHERE subject_id = :run"), {"run": run})
            return {each.id: each.state for each in rows}

    async with asyncio.timeout(60), working(temporal, database, steps, evaluator, queue):
        run = await service.begin(organisation, define(FLOW), {}, TEMPORAL)
        await is_there.wait()
        if when == "once it is begun":
            goes_on.set()
            await until(lambda: in_state("awaiting"), what="a gate that is awaited")
        await service.cancel(organisation, run, compensate=False)
        goes_on.set()

        async def is_over() -> bool:
            return await state() == "cancelled"

        await until(is_over, what="the end of the run")
        await watch.look()
        assert [*(await gates()).values()] == ["paused"]
