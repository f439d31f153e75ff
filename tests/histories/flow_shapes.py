"""The shapes of the histories of runs of flows: name to a coroutine that makes one."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.flows.definition.definition import definition_of
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger import holding
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import TEMPORAL, History
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.contracts import start_id
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from pavo.runs.story import SIGNAL_MOVE_ON
from pavo.tools.registry import ToolRegistry
from tests.flows.engines.workers import working
from tests.flows.local.doubles import Called, Pages

PATIENCE = 240.0


@dataclass(frozen=True)
class RecordedFlows:
    """A worker for runs, and an organisation."""

    service: RunService
    commands: FlowCommands
    temporal: Client
    database: Database
    organisation: uuid.UUID
    evaluator: Evaluator

    async def begin(self, flow: str) -> uuid.UUID:
        definition = definition_of(flow, self.evaluator.wrong)
        return await self.service.begin(self.organisation, definition, {}, TEMPORAL)

    async def until(self, run: uuid.UUID, holds: Callable[[History], bool]) -> History:
        async with asyncio.timeout(PATIENCE):
            while not holds(found := await self.service.history(self.organisation, run)):
                await asyncio.sleep(0.02)
            return found

    async def over(self, run: uuid.UUID, state: str = "succeeded") -> str:
        found = await self.until(run, lambda history: history.run.is_over)
        assert found.run.state == state, found.run.error
        return await self.ended(run, found.run.epoch)

    async def ended(self, run: uuid.UUID, epoch: int) -> str:
        name = start_id(str(run), epoch)
        await self.temporal.get_workflow_handle(name).result()
        return name


@asynccontextmanager
async def recorded_flows(settings: Settings, temporal: Client, database: Database) -> AsyncGenerator[RecordedFlows]:
    """On a task queue of its own."""
    queue, organisation, redis = f"record-{uuid.uuid4().hex[:8]}", uuid.uuid4(), build_redis(settings)
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'o')"), {"id": organisation})
    tools, evaluator = Called(), Evaluator()
    registry = ToolRegistry({}, tools)
    commands = FlowCommands(temporal, queue, Presence(redis, temporal.namespace, queue))
    service = RunService(database, commands.hurry)
    async with working(temporal, database, LocalSteps(registry, registry, Pages()), evaluator, queue):
        yield RecordedFlows(service, commands, temporal, database, organisation, evaluator)
        tools.hold.set()
    evaluator.close()
    await redis.aclose()


async def items_waits_and_branches(flows: RecordedFlows) -> str:
    each = "for_each: {in: '${{ [1, 2, 3] }}', as: n, max: 5, parallel: 2}"
    way = "branch: [{when: '${{ 1 < 2 }}', go: each}, {else: true, go: never}]"
    steps = f"nap: {{sleep: 50ms}}, way: {{needs: nap, {way}}}, never: {{needs: way, tool: broken@1}}"
    return await flows.over(
        await flows.begin(f"flow: f\nsteps: {{{steps}, each: {{needs: way, tool: echo@1, {each}}}}}")
    )


async def tries_that_fail(flows: RecordedFlows) -> str:
    step = "tool: flaky@1, with: {times: 2}, retry: {max: 3, first: 50ms}"
    return await flows.over(await flows.begin(f"flow: f\nsteps: {{a: {{{step}}}}}"))


async def what_is_undone(flows: RecordedFlows) -> str:
    step = "tool: echo@1, with: {value: 1}, compensate: {tool: undo@1, with: {value: 1}}"
    flow = f"flow: f\non_failure: {{compensate: true}}\nsteps: {{a: {{{step}}}, b: {{needs: a, tool: broken@1}}}}"
    return await flows.over(await flows.begin(flow), "failed")


async def a_cancelled_run(flows: RecordedFlows) -> str:
    run = await flows.begin("flow: f\nsteps: {a: {sleep: 1h}, b: {tool: slowly@1}}")
    await flows.until(run, lambda history: len(history.results) == 2)
    await flows.service.cancel(flows.organisation, run, compensate=False)
    return await flows.over(run, "cancelled")


async def a_question(flows: RecordedFlows) -> str:
    run = await flows.begin("flow: f\nsteps: {a: {tool: hangs@1, timeout: 100ms}, b: {needs: a, tool: echo@1}}")
    await flows.until(run, lambda history: any(each.is_asked for each in history.results.values()))
    await flows.service.answer(flows.organisation, run, ResultKey("a"), "succeeded", "yes", uuid.uuid4())
    return await flows.over(run)


async def a_run_that_moves_on(flows: RecordedFlows) -> str:
    run = await flows.begin("flow: f\nsteps: {a: {sleep: 3s}, b: {needs: a, tool: echo@1}}")
    found = await flows.until(run, lambda history: len(history.results) == 1)
    await flows.temporal.get_workflow_handle(start_id(str(run), found.run.epoch)).signal(SIGNAL_MOVE_ON)
    return await flows.over(run)


async def many_items(flows: RecordedFlows) -> str:
    each = "for_each: {in: '${{ inputs.all }}', as: n, max: 600, parallel: 16}"
    inputs = f"inputs: {{all: {{type: array, default: {list(range(360))}}}}}"
    return await flows.over(await flows.begin(f"flow: f\n{inputs}\nsteps: {{a: {{tool: echo@1, {each}}}}}"))


async def a_run_that_is_taken_back(flows: RecordedFlows) -> str:
    run = await flows.begin("flow: f\nsteps: {a: {sleep: 1h}}")
    found = await flows.until(run, lambda history: len(history.results) == 1)
    async with flows.database.transaction() as session:
        await holding.take_back(session, run, found.run.epoch)
    await flows.commands.look(run, found.run.epoch)
    return await flows.ended(run, found.run.epoch)


FLOW_SHAPES: dict[str, Callable[[RecordedFlows], Awaitable[str]]] = {
    shape.__name__: shape
    for shape in (
        *(items_waits_and_branches, tries_that_fail, what_is_undone, a_cancelled_run, a_question),
        *(a_run_that_moves_on, many_items, a_run_that_is_taken_back),
    )
}
