"""The engines, each in this process, with the same tools."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from temporalio.client import Client

from pavo.config import Settings
from pavo.flows.definition.definition import Definition
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.records import LOCAL, TEMPORAL, History, RunRecord
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import Hurry, RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from pavo.tools.registry import ToolRegistry
from tests.flows.engines.workers import working
from tests.flows.local.doubles import Called, Pages

LONG = 60.0


@dataclass
class Engine:
    """One of them, and runs of an organisation."""

    name: str
    service: RunService
    organisation: uuid.UUID
    define: Callable[..., Definition]
    go_on: Callable[[uuid.UUID], Awaitable[RunRecord]]
    """Until the run is over, or waits for people."""
    hurry: Hurry | None = None

    async def begin(self, text: str, inputs: Mapping[str, Any] | None = None) -> uuid.UUID:
        return await self.service.begin(self.organisation, self.define(text), inputs or {}, self.name)

    async def run(self, text: str, inputs: Mapping[str, Any] | None = None) -> RunRecord:
        async with asyncio.timeout(LONG):
            return await self.go_on(await self.begin(text, inputs))

    async def history(self, run: uuid.UUID) -> History:
        return await self.service.history(self.organisation, run)

    async def states(self, run: uuid.UUID) -> dict[str, str]:
        return {key.step: each.state for key, each in (await self.history(run)).results.items()}


@pytest.fixture
def tools() -> Called:
    return Called()


@pytest_asyncio.fixture(params=[LOCAL, TEMPORAL])
async def engine(
    request: pytest.FixtureRequest,
    database: Database,
    temporal: Client,
    settings: Settings,
    evaluator: Evaluator,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tools: Called,
) -> AsyncIterator[Engine]:
    registry = ToolRegistry({}, tools)
    steps = LocalSteps(registry, registry, Pages())
    if request.param == LOCAL:
        local = LocalEngine(database, steps, evaluator)
        yield Engine(LOCAL, RunService(database), organisation, define, local.run)
        tools.hold.set()
        return
    redis, queue = Redis.from_url(settings.redis.url), f"flows-{uuid.uuid4().hex}"
    commands = FlowCommands(temporal, queue, Presence(redis, temporal.namespace, queue))
    service = RunService(database, commands.hurry)

    async def until_over(run: uuid.UUID) -> RunRecord:
        while True:
            found = await service.history(organisation, run)
            open_ = {each.state for each in found.results.values() if each.ended_at is None}
            if found.run.is_over or (open_ == {"unknown"}):
                return found.run
            await asyncio.sleep(0.02)

    async with working(temporal, database, steps, evaluator, queue):
        yield Engine(TEMPORAL, service, organisation, define, until_over, commands.hurry)
        tools.hold.set()
    await redis.aclose()
