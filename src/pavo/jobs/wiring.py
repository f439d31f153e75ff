"""How jobs come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import httpx2
from redis.asyncio import Redis
from temporalio.client import Client

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.artifacts.wiring import build_keeping
from pavo.config import TemporalSettings
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.agents.health import AgentHealth
from pavo.jobs.agents.health_workflow import PingAgent
from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.attempt.recorder import JobRecorder
from pavo.jobs.attempt.reports import AttemptReports
from pavo.jobs.commands import JobCommands
from pavo.jobs.figures.gauges import measure
from pavo.jobs.lease_watch import LeaseWatch
from pavo.jobs.models.bearers import JobBearers
from pavo.jobs.pull_requests.looking import Looking, LookLimits
from pavo.jobs.pull_requests.polling import PullRequestPolling
from pavo.jobs.queue import commands as queues
from pavo.jobs.queue.activities import QueueRecorder
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.queue.service import QueueService
from pavo.jobs.queue.workflow import QueueMonitor
from pavo.jobs.reconcile import JobRows
from pavo.jobs.requests.service import JobViews
from pavo.jobs.requests.submission import JobSubmission
from pavo.jobs.service import JobService
from pavo.jobs.sql import jobs
from pavo.jobs.use_cases import JobUseCases
from pavo.jobs.workflow import CodingJob
from pavo.kit.cancellation import KeptRunning, end
from pavo.kit.outgoing.checked_client import checked_client
from pavo.kit.outgoing.connecting import Connector
from pavo.kit.sql import Database
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.runs.presence import Presence
from pavo.runs.subjects import SubjectRows
from pavo.usage.prices import PriceTable

KIND: Final = Kind(
    d.NOUN,
    CodingJob,
    c.WORKFLOW_TYPE,
    d.job_of_workflow,
    helpers=[QueueMonitor, PingAgent],
    periodic=[queues.LINES],
    subjects=SubjectRows("jobs", worker="program", failed_since="coalesce(ended_at, updated_at)"),
)


def routers() -> Sequence[Any]:
    """The endpoints of jobs."""
    from pavo.jobs.live.endpoints import router as live
    from pavo.jobs.logs.endpoints import router as logs
    from pavo.jobs.requests.endpoints import router as requests
    from pavo.jobs.requests.queue_endpoints import router as queue

    return [requests, logs, live, queue]


def job_commands(temporal: Client, redis: Redis, settings: TemporalSettings) -> JobCommands:
    """What sends commands to the workflows of jobs."""
    presence = Presence(redis, temporal.namespace, settings.task_queue)
    return JobCommands(temporal, settings.task_queue, presence, settings.ui_url)


def queue_commands(database: Database, temporal: Client, settings: TemporalSettings) -> QueueCommands:
    """What tells the monitors of queues."""
    return QueueCommands(database, temporal, settings.task_queue)


def job_services(clients: ApiClients | WorkerClients) -> tuple[JobService, JobSubmission]:
    """What is done with jobs, and how they are submitted, in any process."""
    database, publisher, settings = clients.database, clients.publisher, clients.settings
    commands = job_commands(clients.temporal, clients.redis, settings.temporal)
    queue = queue_commands(database, clients.temporal, settings.temporal)
    views = JobViews(database, PriceTable.load(settings.usage.prices).currency)
    submission = JobSubmission(database, publisher, views, queue.look)
    return JobService(database, publisher, commands, queue.look), submission


async def served(clients: ApiClients) -> KindServed:
    """The use cases of jobs."""
    database, publisher = clients.database, clients.publisher
    commands = job_commands(clients.temporal, clients.redis, clients.settings.temporal)
    queue = queue_commands(database, clients.temporal, clients.settings.temporal)
    service, submission = job_services(clients)
    gates = JobGates(database, commands)
    services = JobUseCases(service, QueueService(database, publisher, queue), gates, submission, JobBearers(database))

    async def census() -> Mapping[str, int]:
        async with database.reading() as session:
            return await jobs.census(session)

    async def owners(job_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        async with database.reading() as session:
            return await jobs.owners(session, job_ids)

    rows = JobRows(database, publisher, queue, clients.settings.jobs.log_days)
    return KindServed(KIND, services, rows, census, owners, partial(measure, database))


async def at_work(clients: WorkerClients) -> KindAtWork:
    """The short writes of the workflows of jobs and of the monitors of queues, and the watch over leases; what is long
    is done by remote agents, through gateways."""
    database, publisher, settings = clients.database, clients.publisher, clients.settings
    queue = queue_commands(database, clients.temporal, settings.temporal)

    async def held_by(_: str) -> Sequence[str]:
        return []

    watch = LeaseWatch(database, clients.temporal, publisher, queue, 60 * settings.jobs.stuck_minutes)
    clients.closing.push_async_callback(KeptRunning(watch.run, "leases-of-jobs").end)
    _look_at_pull_requests(clients, queue)
    health = AgentHealth(database, clients.temporal, settings.temporal.task_queue, queue)
    clients.closing.push_async_callback(KeptRunning(health.keep_watching, "agents-health").end)
    currency = PriceTable.load(settings.usage.prices).currency
    reports = AttemptReports(database, publisher, build_keeping(settings), currency)
    recorder = JobRecorder(database, publisher, queue.look, settings.jobs, reports)
    short = [recorder, QueueRecorder(database, publisher, queue), health]
    rows = JobRows(database, publisher, queue, settings.jobs.log_days, health.put_right)
    return KindAtWork(KIND, long=[], short=short, rows=rows, held_by=held_by)


def _look_at_pull_requests(clients: WorkerClients, queue: QueueCommands) -> None:
    jobs_settings = clients.settings.jobs
    if not jobs_settings.review_seconds:
        return
    connector = Connector(jobs_settings.allowed_networks, "PAVO_FORGE_NETWORKS", resolvers=16)
    client = checked_client(connector, httpx2.Timeout(30.0), httpx2.Limits(max_connections=16))
    secrets = SecretService(clients.database, KeyRing.of(clients.settings.sealing))
    limits = LookLimits(jobs_settings.review_seconds, jobs_settings.reviews)
    looking = Looking(client, secrets, limits)
    polling = PullRequestPolling(clients.database, clients.publisher, looking, queue.look)
    clients.closing.callback(connector.close)
    clients.closing.push_async_callback(client.aclose)
    clients.closing.push_async_callback(end, asyncio.create_task(polling.run(), name="pull-requests-of-jobs"))
