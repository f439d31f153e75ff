"""The composition root: the only place that builds clients. What a slice makes of them stands in its `wiring`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from temporalio.client import Client

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.accounts.service import AccountsService
from pavo.accounts.standing import StandingWatch
from pavo.agents.announced.announcement import Announcement
from pavo.agents.announced.announcements import Announcements
from pavo.agents.importing import Imports
from pavo.agents.registry import AgentRegistry
from pavo.artifacts.service import ArtifactService
from pavo.artifacts.wiring import build_service as build_artifacts
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import ConfigurationError
from pavo.fleet.clients import GatewayClients, identity_of
from pavo.flows import wiring as flows
from pavo.gates.service import GateOwner, GateOwners, GateService, OwnsGates
from pavo.inbox.service import InboxService
from pavo.jobs import wiring as jobs
from pavo.jobs.fleet_services import FleetServices, fleet_services
from pavo.kit.cancellation import end
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.llm.gateway.service import GatewayService
from pavo.llm.gateway.wiring import model_calls, model_gateway
from pavo.llm.named.service import EndpointService
from pavo.observe import metrics
from pavo.observe.scrape import Ask, Scrape
from pavo.observe.telemetry import Telemetry, open_telemetry
from pavo.runs.kinds import ApiClients, KindAtWork, KindServed, Slice, WorkerClients, subjects_of
from pavo.runs.reconcile import Reconciler
from pavo.runs.story import plan_queue, short_queue
from pavo.schedules import wiring as schedules
from pavo.tasks import wiring as tasks
from pavo.temporal.client import connect
from pavo.temporal.queues import KINDS, describe_queue
from pavo.timeline.follow import Follower
from pavo.timeline.publish import Publisher
from pavo.timeline.viewers import Budget
from pavo.timeline.watching import WatchService
from pavo.tools.announced.announcement import ToolsAnnouncement
from pavo.tools.policies.service import PolicyService
from pavo.triggers import wiring as triggers
from pavo.triggers.use_cases import TriggerUseCases
from pavo.usage.prices import PriceTable
from pavo.usage.service import LooksAgain, OwnsBudgetGates, UsageService
from pavo.webhooks.deliverer import Deliverer
from pavo.webhooks.service import WebhookService
from pavo.webhooks.wiring import build_deliverer

SLICES: Final[Sequence[Slice]] = (tasks, jobs, flows, schedules)
"""What brings durable work. A process, its checks and its metrics loop over these; nothing else names them."""
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
    watching: WatchService
    accounts: AccountsService
    secrets: SecretService
    model_endpoints: EndpointService
    model_gateway: GatewayService
    corpus: CorpusService
    artifacts: ArtifactService
    webhooks: WebhookService
    triggers: TriggerUseCases
    gates: GateService
    inbox: InboxService
    policies: PolicyService
    usage: UsageService
    prices: PriceTable
    fleet: FleetServices
    agents: Imports
    announcements: Announcements[Announcement]
    tools: Announcements[ToolsAnnouncement]
    kinds: Sequence[KindServed]
    reconciler: Reconciler
    scrape: Scrape


@asynccontextmanager
async def api_parts(settings: Settings, slices: Sequence[Slice] = SLICES) -> AsyncGenerator[ApiParts]:
    """Everything that serves HTTP; closed in the opposite order, also when opening fails half-way."""
    async with AsyncExitStack() as closing:
        ring, prices = KeyRing.of(settings.sealing), PriceTable.load(settings.usage.prices)
        closing.push_async_callback((telemetry := open_telemetry(settings, "api")).close)
        (database, redis), temporal = _stores(settings, closing), await _connect(settings, telemetry)
        closing.push_async_callback((connections := kept_connections(database, settings)).close)
        publisher, follower = await _viewing(settings, database, redis, closing)
        clients = ApiClients(settings, database, connections, redis, temporal, publisher, follower, closing)
        kinds = [await each.served(clients) for each in slices]
        webhooks, secrets = WebhookService(database, settings.webhooks), SecretService(database, ring)
        gates = GateService(database, _gate_owner(kinds), subjects := subjects_of([each.kind for each in kinds]))
        firing = triggers.served(clients)
        asked = _asks(settings, kinds, webhooks, firing, gates, redis, temporal)
        yield ApiParts(
            database,
            redis,
            temporal,
            follower,
            WatchService(database, follower, _standing(database, kinds, closing)),
            build_accounts(database, settings),
            secrets,
            EndpointService(database, secrets, settings.llm),
            _model_gateway(database, settings, kinds, closing),
            CorpusService(database),
            build_artifacts(database, settings),
            webhooks,
            firing,
            gates,
            InboxService(database, subjects),
            PolicyService(database),
            UsageService(database, _budget_gates(kinds)),
            prices,
            fleet_services(database, redis, secrets, prices.currency, closing),
            Imports(AgentRegistry.load()),
            *_announced(redis, temporal.namespace, settings.temporal.task_queue),
            kinds,
            Reconciler([(each.kind, each.rows) for each in kinds], temporal),
            Scrape("api", metrics.OF_API, telemetry.sdk, asked),
        )


def _standing(database: Database, kinds: Sequence[KindServed], closing: AsyncExitStack) -> StandingWatch:
    """Whose what is watched is, followed."""
    standing = StandingWatch(database, {each.kind.noun: each.owners for each in kinds})
    closing.push_async_callback(end, asyncio.create_task(standing.run(), name="standing"))
    return standing


def _announced(
    redis: Redis, namespace: str, task_queue: str
) -> tuple[Announcements[Announcement], Announcements[ToolsAnnouncement]]:
    agents = Announcements(redis, namespace, task_queue, Announcement, "agents")
    return agents, Announcements(redis, namespace, task_queue, ToolsAnnouncement, "tools")


async def _viewing(
    settings: Settings, database: Database, redis: Redis, closing: AsyncExitStack
) -> tuple[Publisher, Follower]:
    """What viewers are told by, started."""
    budget = Budget(settings.limits.viewer_kb * 1_000, settings.limits.viewers_mb * 1_000_000)
    publisher, follower = Publisher(redis), Follower(database, redis, budget)
    closing.push_async_callback(publisher.close)
    publisher.start()
    closing.push_async_callback(follower.close)
    await follower.start()
    return publisher, follower


def _model_gateway(
    database: Database, settings: Settings, kinds: Sequence[KindServed], closing: AsyncExitStack
) -> GatewayService:
    models = model_calls(database, settings)
    closing.push_async_callback(models.close)
    return model_gateway(models, (each.services for each in kinds))


def _gate_owner(kinds: Sequence[KindServed]) -> GateOwner:
    return GateOwners([each.services.gates for each in kinds if isinstance(each.services, OwnsGates)])


def _budget_gates(kinds: Sequence[KindServed]) -> LooksAgain:
    return next(each.services.budgets for each in kinds if isinstance(each.services, OwnsBudgetGates))


def _stores(settings: Settings, closing: AsyncExitStack) -> tuple[Database, Redis]:
    database, redis = build_database(settings), build_redis(settings)
    closing.push_async_callback(database.close)
    closing.push_async_callback(redis.aclose)
    return database, redis


def _asks(
    settings: Settings,
    kinds: Sequence[KindServed],
    webhooks: WebhookService,
    firing: TriggerUseCases,
    gates: GateService,
    redis: Redis,
    temporal: Client,
) -> Mapping[str, Ask]:
    """What is asked when somebody looks at the API's metrics; what cannot be known any more is not shown."""

    async def postgres() -> None:
        metrics.RUNS.replace({})
        metrics.TRIGGERS.replace({})
        await _measure(kinds, firing)
        for gauge in (metrics.WEBHOOKS_WAITING, metrics.WEBHOOKS_OLDEST, metrics.GATES_OPEN, metrics.GATES_OLDEST):
            gauge.replace({})
        waiting = await webhooks.waiting()
        metrics.WEBHOOKS_WAITING.set(waiting.messages)
        metrics.WEBHOOKS_OLDEST.set(waiting.oldest_seconds)
        asked = await gates.waiting()
        metrics.GATES_OPEN.set(asked.gates)
        metrics.GATES_OLDEST.set(asked.oldest_seconds)

    async def queues() -> None:
        queue = settings.temporal.task_queue
        for gauge in (metrics.BACKLOG, metrics.BACKLOG_AGE, metrics.POLLERS):
            gauge.replace({})
        beside = [(name(queue), "activity") for name in (plan_queue, short_queue)]
        for name, kind in (*((queue, kind) for kind in KINDS), *beside):
            state = await describe_queue(temporal, name, kind)
            metrics.BACKLOG.set(state.backlog, name, kind)
            metrics.BACKLOG_AGE.set(state.age_seconds, name, kind)
            metrics.POLLERS.set(state.pollers, name, kind)

    async def ping() -> None:
        await redis.ping()  # pyright: ignore[reportGeneralTypeIssues]

    return {"postgres": postgres, "temporal": queues, "redis": ping}


async def _measure(kinds: Sequence[KindServed], firing: TriggerUseCases) -> None:
    found = {each.kind.noun: await each.census() for each in kinds}
    stages = {(noun, stage): count for noun, census in found.items() for stage, count in census.items()}
    metrics.RUNS.replace(stages)
    metrics.TRIGGERS.replace({(stage,): count for stage, count in (await firing.triggers.census()).items()})
    for each in kinds:
        if each.measure is not None:
            await each.measure()


async def _connect(settings: Settings, telemetry: Telemetry, identity: str | None = None) -> Client:
    runtime = telemetry.sdk.runtime if telemetry.sdk else None
    return await connect(settings.temporal, runtime=runtime, interceptors=telemetry.interceptors, identity=identity)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What the worker process registers with Temporal."""

    redis: Redis
    temporal: Client
    registry: AgentRegistry
    kinds: Sequence[KindAtWork]
    reconciler: Reconciler
    deliverer: Deliverer
    scrape: Scrape


@asynccontextmanager
async def worker_parts(
    settings: Settings, slices: Sequence[Slice] = SLICES, *, begin_anew: Callable[[], None] = lambda: None
) -> AsyncGenerator[WorkerParts]:
    """Everything that executes durable work; closed as `api_parts` is."""
    async with AsyncExitStack() as closing:
        PriceTable.load(settings.usage.prices)  # nonsense in it starts no worker
        telemetry = open_telemetry(settings, "worker")
        closing.push_async_callback(telemetry.close)
        temporal = await _connect(settings, telemetry)
        database, redis = _stores(settings, closing)
        publisher = Publisher(redis)
        closing.push_async_callback(publisher.close)
        publisher.start()
        clients = WorkerClients(
            settings,
            database,
            redis,
            temporal,
            publisher,
            closing,
            new_database=partial(build_database, settings),
            new_redis=partial(build_redis, settings),
            keep=partial(kept_connections, settings=settings),
            begin_anew=begin_anew,
        )
        kinds = [await each.at_work(clients) for each in slices]
        triggers.begin_beside(clients)
        yield WorkerParts(
            redis,
            temporal,
            AgentRegistry.load(),
            kinds,
            Reconciler([(each.kind, each.rows) for each in kinds], temporal),
            build_deliverer(database, settings.webhooks),
            Scrape("worker", metrics.OF_WORKER, telemetry.sdk),
        )


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What the process of a gateway to remote agents holds."""

    clients: GatewayClients
    scrape: Scrape


@asynccontextmanager
async def gateway_parts(settings: Settings) -> AsyncGenerator[GatewayParts]:
    """Everything that serves remote agents; closed as `api_parts` is."""
    async with AsyncExitStack() as closing:
        ring, gateway_id = KeyRing.of(settings.sealing), new_id()
        telemetry = open_telemetry(settings, "gateway")
        closing.push_async_callback(telemetry.close)
        temporal = await _connect(settings, telemetry, identity_of(gateway_id))
        database, redis = _stores(settings, closing)
        publisher = Publisher(redis)
        closing.push_async_callback(publisher.close)
        publisher.start()
        clients = GatewayClients(settings, gateway_id, database, temporal, publisher, SecretService(database, ring))
        yield GatewayParts(clients, Scrape("gateway", metrics.OF_GATEWAY, telemetry.sdk))
