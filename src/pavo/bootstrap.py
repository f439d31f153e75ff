"""The composition root: the only place that builds clients and wires classes."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from temporalio.client import Client

from pavo.accounts.service import AccountsService
from pavo.agents.agent_loop import AgentLoop
from pavo.agents.host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import ConfigurationError
from pavo.kit.cancellation import end
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.observe import metrics
from pavo.observe.scrape import Ask, Scrape
from pavo.observe.telemetry import Telemetry, open_telemetry
from pavo.tasks.commands import Commander
from pavo.tasks.dependencies import Services
from pavo.tasks.reconcile import Reconciler
from pavo.tasks.records import TransitionRecorder
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.sql.request_statements import RequestStatements
from pavo.tasks.sql.stage_counts import tasks_by_stage
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.watching import WatchService
from pavo.tasks.work.activities import AgentWork
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor, BatchLimits
from pavo.tasks.work.hints import listen_for_hints
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.recorder import StepRecorder
from pavo.temporal.client import connect
from pavo.temporal.queues import KINDS, describe_queue
from pavo.timeline.follow import Follower
from pavo.timeline.publish import Publisher

KEPT_SHARE = 4
"""One connection in four."""


def build_database(settings: Settings) -> Database:
    """A pool of PostgreSQL connections for the running event loop."""
    return Database(settings.database.url, pool_size=settings.database.pool_size)


def kept_connections(database: Database, settings: Settings) -> KeptConnections:
    """A part of the pool for the statements that run all the time; the rest stays for everything else."""
    return KeptConnections(database, max(1, settings.database.pool_size // KEPT_SHARE))


def build_redis(settings: Settings) -> Redis:
    """A Redis client that gives up early: whatever it carries, PostgreSQL has too.

    Raises:
        ConfigurationError: REDIS_URL is no URL of a Redis server.
    """
    try:
        client = Redis.from_url(
            settings.redis.url,
            socket_connect_timeout=1.0,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 1),
            socket_keepalive=True,
            health_check_interval=10,
            max_connections=50,
        )
        client.connection_pool.make_connection()  # opens nothing yet; an option that is none is noticed here
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            "This is no URL of a Redis server.",  # it may hold a password, so it is not repeated
            field="REDIS_URL",
            remedy="Write it as redis://:password@host:6379/0; % / @ in a password as %25 %2F %40.",
        ) from error
    return client


def build_accounts(database: Database, settings: Settings) -> AccountsService:
    """Who is asking. In dev mode a new organisation begins with the sample corpus; a real one is empty."""
    sample = CorpusService(database).ensure_sample if settings.http.auth == "dev" else None
    return AccountsService(database, settings.http, sample)


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What the API process holds."""

    database: Database
    redis: Redis
    temporal: Client
    follower: Follower
    accounts: AccountsService
    corpus: CorpusService
    registry: AgentRegistry
    tasks: Services
    reconciler: Reconciler
    scrape: Scrape


@asynccontextmanager
async def api_parts(settings: Settings) -> AsyncGenerator[ApiParts]:
    """Everything that serves HTTP; closed in the opposite order, also when opening fails half-way."""
    async with AsyncExitStack() as closing:
        telemetry = open_telemetry(settings, "api")
        closing.push_async_callback(telemetry.close)
        database, redis = _stores(settings, closing)
        temporal = await _connect(settings, telemetry)
        connections = kept_connections(database, settings)
        closing.push_async_callback(connections.close)
        publisher, follower = Publisher(redis), Follower(database, redis)
        closing.push_async_callback(publisher.close)
        publisher.start()
        closing.push_async_callback(follower.close)
        await follower.start()
        registry = AgentRegistry.load()
        queue, attributes = settings.temporal.task_queue, settings.temporal.search_attributes
        commander = Commander(temporal, queue, search_attributes=attributes)
        tasks = TaskService(database, RequestStatements(connections), redis, publisher, registry, commander)
        services = Services(
            tasks, ReviewService(database, publisher, commander, tasks), WatchService(database, follower, tasks)
        )
        yield ApiParts(
            database,
            redis,
            temporal,
            follower,
            build_accounts(database, settings),
            CorpusService(database),
            registry,
            services,
            Reconciler(database, publisher, temporal),
            Scrape("api", metrics.OF_API, telemetry.sdk, _asks(settings, database, redis, temporal)),
        )


def _stores(settings: Settings, closing: AsyncExitStack) -> tuple[Database, Redis]:
    database, redis = build_database(settings), build_redis(settings)
    closing.push_async_callback(database.close)
    closing.push_async_callback(redis.aclose)
    return database, redis


def _asks(settings: Settings, database: Database, redis: Redis, temporal: Client) -> Mapping[str, Ask]:
    """What is asked when somebody looks at the API's metrics; what cannot be known any more is not shown."""

    async def postgres() -> None:
        metrics.TASKS.replace({})
        found = await tasks_by_stage(database)
        metrics.TASKS.replace({(stage,): count for stage, count in found.items()})

    async def queues() -> None:
        queue = settings.temporal.task_queue
        for gauge in (metrics.BACKLOG, metrics.BACKLOG_AGE, metrics.POLLERS):
            gauge.replace({})
        for kind in KINDS:
            state = await describe_queue(temporal, queue, kind)
            metrics.BACKLOG.set(state.backlog, queue, kind)
            metrics.BACKLOG_AGE.set(state.age_seconds, queue, kind)
            metrics.POLLERS.set(state.pollers, queue, kind)

    async def ping() -> None:
        await redis.ping()  # pyright: ignore[reportGeneralTypeIssues]

    return {"postgres": postgres, "temporal": queues, "redis": ping}


async def _connect(settings: Settings, telemetry: Telemetry) -> Client:
    runtime = telemetry.sdk.runtime if telemetry.sdk else None
    return await connect(settings.temporal, runtime=runtime, interceptors=telemetry.interceptors)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What the worker process registers with Temporal."""

    database: Database
    temporal: Client
    agent_work: AgentWork
    recorder: TransitionRecorder
    reconciler: Reconciler
    scrape: Scrape


@asynccontextmanager
async def worker_parts(settings: Settings) -> AsyncGenerator[WorkerParts]:
    """Everything that executes tasks; closed as `api_parts` is.

    Two event loops: Temporal's own, with the short database writes, and the agents' loop, with their steps' commits.
    """
    async with AsyncExitStack() as closing:
        telemetry = open_telemetry(settings, "worker")
        closing.push_async_callback(telemetry.close)
        temporal = await _connect(settings, telemetry)
        database, redis = _stores(settings, closing)
        publisher = Publisher(redis)
        closing.push_async_callback(publisher.close)
        publisher.start()
        loop = AgentLoop()
        loop.start()
        closing.push_async_callback(asyncio.to_thread, loop.stop)
        agents = await loop.run(lambda: _open_agents(settings))
        closing.push_async_callback(loop.run, agents.close)
        yield WorkerParts(
            database,
            temporal,
            AgentWork(loop, agents.planner, agents.executor),
            TransitionRecorder(database, publisher),
            Reconciler(database, publisher, temporal),
            Scrape("worker", metrics.OF_WORKER, telemetry.sdk),
        )


class _Agents:
    """What lives on the agents' loop."""

    def __init__(self, settings: Settings) -> None:
        self._database, self._redis = build_database(settings), build_redis(settings)
        self._publisher = Publisher(self._redis)
        self._recorder = StepRecorder(self._database, self._publisher)
        attempts = Attempts()
        limits = HostLimits(
            memory_mb=settings.execution.agent_memory_mb, silence_seconds=settings.execution.agent_silence_seconds
        )
        hosting = Hosting(self._database, self._publisher, AgentRegistry.load(), CorpusService(self._database), limits)
        self._connections = kept_connections(self._database, settings)
        # The beginning is what `worker` knows of a predecessor.
        holder = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
        writer = TaskWriter(self._connections, self._database, holder)
        self.planner = Planner(hosting, writer, attempts)
        self.executor = BatchExecutor(
            hosting,
            writer,
            self._recorder,
            attempts,
            BatchLimits(settings.execution.batch_steps, settings.execution.batch_seconds),
        )
        self._publisher.start()
        self._recorder.start()
        self._hints = asyncio.ensure_future(listen_for_hints(self._redis, attempts))

    async def close(self) -> None:
        """Close in order: first what writes, then what it writes to."""
        await end(self._hints)
        await self._recorder.close()
        await self._connections.close()
        await self._publisher.close()
        await self._redis.aclose()
        await self._database.close()


async def _open_agents(settings: Settings) -> _Agents:
    return _Agents(settings)
