"""How jobs come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from temporalio.client import Client

from pavo.config import TemporalSettings
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.attempt.recorder import JobRecorder
from pavo.jobs.commands import JobCommands
from pavo.jobs.reconcile import JobRows
from pavo.jobs.service import JobService
from pavo.jobs.sql import jobs
from pavo.jobs.use_cases import JobUseCases
from pavo.jobs.workflow import CodingJob
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.runs.presence import Presence

KIND: Final = Kind("job", CodingJob, c.WORKFLOW_TYPE, d.job_of_workflow)


def routers() -> Sequence[Any]:
    """The endpoints of jobs."""
    from pavo.jobs.logs.endpoints import router as logs
    from pavo.jobs.requests.endpoints import router as requests

    return [requests, logs]


def job_commands(temporal: Client, redis: Redis, settings: TemporalSettings) -> JobCommands:
    """What sends commands to the workflows of jobs."""
    presence = Presence(redis, temporal.namespace, settings.task_queue)
    return JobCommands(temporal, settings.task_queue, presence)


async def served(clients: ApiClients) -> KindServed:
    """The use cases of jobs."""
    database, publisher = clients.database, clients.publisher
    commands = job_commands(clients.temporal, clients.redis, clients.settings.temporal)
    services = JobUseCases(JobService(database, publisher, commands), JobGates(database, commands))

    async def census() -> Mapping[str, int]:
        async with database.reading() as session:
            return await jobs.census(session)

    async def owners(job_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        async with database.reading() as session:
            return await jobs.owners(session, job_ids)

    return KindServed(KIND, services, JobRows(database, publisher), census, owners)


async def at_work(clients: WorkerClients) -> KindAtWork:
    """The short writes of the workflows of jobs; what is long is done by remote agents, through gateways."""

    async def held_by(_: str) -> Sequence[str]:
        return []

    recorder = JobRecorder(clients.database, clients.publisher)
    rows = JobRows(clients.database, clients.publisher)
    return KindAtWork(KIND, long=[], short=[recorder], rows=rows, held_by=held_by)
