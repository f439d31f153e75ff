"""Workers of Temporal's engine are killed in the middle of flows, and runs change engines under kills: each unsafe step
is done once."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis
from temporalio.client import Client

from pavo.config import Settings
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import holding
from pavo.flows.ledger.records import LOCAL, TEMPORAL
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.watching import RunWatch
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from tests.flows.local.engine_apart import STEPS, EngineApart, a_flow

PATIENCE = 100.0


class KilledWorkers(EngineApart):
    """The same for workers of a queue."""

    temporal: Client
    queue: str

    @contextmanager
    def working(self) -> "Iterator[subprocess.Popen[bytes]]":
        target = self.temporal.service_client.config.target_host
        words = [self.url, target, self.temporal.namespace, self.queue, str(self.file)]
        module = [sys.executable, "-m", "tests.flows.engines.worker_process", *words]
        process = subprocess.Popen(module, cwd=Path(__file__).parents[3])
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    async def until_over(self) -> None:
        while not (await self.history()).run.is_over:
            await self.answer(uuid.uuid4())
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def commands(temporal: Client, settings: Settings) -> AsyncIterator[FlowCommands]:
    redis, queue = Redis.from_url(settings.redis.url), f"flows-{uuid.uuid4().hex}"
    yield FlowCommands(temporal, queue, Presence(redis, temporal.namespace, queue))
    await redis.aclose()


@pytest_asyncio.fixture
async def killed(
    database: Database,
    environment: dict[str, str],
    temporal: Client,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tmp_path: Path,
    commands: FlowCommands,
) -> KilledWorkers:
    service = RunService(database, commands.hurry)
    run = await service.begin(organisation, define(a_flow()), {}, TEMPORAL)
    found = KilledWorkers(service, environment["DATABASE_URL"], organisation, run, tmp_path / "calls")
    found.temporal, found.queue = temporal, commands.task_queue
    return found


def check(killed: KilledWorkers) -> None:
    calls = killed.calls()
    for number in range(STEPS):
        done = calls[f"s{number}"]
        assert done >= 1 if number % 3 == 0 else done == 1, (number, done)


async def test_each_step_is_done_once_however_often_workers_are_killed(killed: KilledWorkers) -> None:
    async with asyncio.timeout(PATIENCE):
        for more in (3, 9):
            with killed.working() as process:
                await killed.kill_after(process, more)
        with killed.working():
            await killed.until_over()
    history = await killed.history()
    assert history.run.state == "succeeded", history.run.error
    assert all(each.output == {"step": key.step} for key, each in history.results.items())
    assert len(history.results) == STEPS and killed.asked > 0
    check(killed)


async def test_a_run_goes_from_engine_to_engine_under_kills(
    killed: KilledWorkers, database: Database, commands: FlowCommands
) -> None:
    watch = RunWatch(database, commands)
    async with asyncio.timeout(PATIENCE):
        with killed.working() as process:
            await killed.kill_after(process, 5)
        async with database.transaction() as session:  # Temporal has lost it for good
            await holding.take_back(session, killed.run, (await killed.history()).run.epoch, is_lost=True)
        await killed.answer(uuid.uuid4())
        await killed.kill_after(killed.start(), 7)
        async with database.transaction() as session:
            assert (await killed.history()).run.engine == LOCAL
            await holding.begin_hand_over(session, killed.run)
        while (await killed.history()).run.engine == LOCAL:  # the lease of the engine that was killed
            await watch.look()
            await asyncio.sleep(0.1)
        with killed.working():
            await killed.until_over()
    history = await killed.history()
    assert (history.run.state, history.run.engine) == ("succeeded", TEMPORAL), history.run.error
    check(killed)
