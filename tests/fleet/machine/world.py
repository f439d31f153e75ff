"""A whole queue and fleet: stores, gateways and a worker as processes, and what people ask of them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import text
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.jobs.commands import JobCommands
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.queue.service import QueueService
from pavo.jobs.service import JobService
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from pavo.timeline.publish import Publisher
from tests.clock import Clock
from tests.fleet.conftest import Gateway, start_gateway
from tests.parts import Part, Parts

GATEWAYS = 2


@dataclass
class World:
    """What outlives an example."""

    database: Database
    clock: Clock
    parts: Parts
    environment: dict[str, str]
    """Beside that of the parts."""
    queue: QueueService
    jobs: JobService
    gateways: list[Gateway] = field(default_factory=list[Gateway])
    workers: list[Part] = field(default_factory=list[Part])

    @property
    def ports(self) -> list[int]:
        """Of the gateways that live."""
        return [int(each.address.rpartition(":")[2]) for each in self.gateways]

    async def now(self) -> float:
        """What PostgreSQL says, in seconds."""
        return (await self.clock.now()).timestamp()

    async def start_gateway(self) -> None:
        self.gateways.append(await start_gateway(self.parts, **self.environment))

    async def start_worker(self) -> None:
        self.workers.append(await self.parts.start("worker", slices=(), command=False, **self.environment))

    def kill_gateway(self, which: int) -> None:
        self.gateways.pop(which % len(self.gateways)).part.kill()

    def kill_worker(self) -> None:
        self.workers.pop().kill()

    @property
    def is_whole(self) -> bool:
        return bool(self.workers) and len(self.gateways) == GATEWAYS

    async def make_whole(self) -> None:
        """Start a successor of whatever was killed; while no agent is connected, for gRPC is not to be forked then."""
        while len(self.gateways) < GATEWAYS:
            await self.start_gateway()
        if not self.workers:
            await self.start_worker()

    async def end(self) -> None:
        for part in (*self.workers, *(each.part for each in self.gateways)):
            part.end()

    async def jump(self, seconds: float) -> None:
        await self.clock.forward(timedelta(seconds=seconds))

    async def rank(self, job: object) -> float:
        async with self.database.reading() as session:
            return (await session.execute(text("SELECT rank FROM jobs WHERE id = :id"), {"id": job})).scalar_one()


@asynccontextmanager
async def a_world(parts: Parts, settings: Settings, temporal: Client, url: str, queue: str) -> AsyncGenerator[World]:
    """Two gateways and a worker on a database and a task queue of their own.

    Args:
        url: of a database with every table.
    """
    async with AsyncExitStack() as closing:
        database = Database(url, pool_size=20)
        closing.push_async_callback(database.close)
        redis = build_redis(settings)
        closing.push_async_callback(redis.aclose)
        publisher = Publisher(redis)
        publisher.start()
        closing.push_async_callback(publisher.close)
        queues = QueueCommands(database, temporal, queue)
        commands = JobCommands(temporal, queue, Presence(redis, temporal.namespace, queue))
        world = World(
            database,
            Clock(database, temporal),
            parts,
            {"DATABASE_URL": url, "TEMPORAL_TASK_QUEUE": queue},
            QueueService(database, publisher, queues),
            JobService(database, publisher, commands, queues.look),
        )
        closing.push_async_callback(world.end)
        await world.make_whole()
        yield world
