"""A worker of the folder's own, and for each test an organisation with a scripted agent."""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.commands import JobCommands
from pavo.jobs.service import JobService
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from pavo.timeline.publish import Publisher
from tests.jobs.attempt.at_work import AtWork
from tests.jobs.attempt.given import Given, organisation
from tests.jobs.attempt.scripted import Agent, Sessions
from tests.parts import Parts


@pytest_asyncio.fixture(scope="package")
async def at_work(parts: Parts) -> AsyncIterator[AtWork]:
    queue = f"jobs-{uuid.uuid4().hex[:8]}"
    found = AtWork(parts, {"TEMPORAL_TASK_QUEUE": queue, "PAVO_JOB_HEARTBEATS": "start_execution=2"}, queue)
    await found.start()
    yield found
    found.worker.end()


@pytest_asyncio.fixture
async def given(at_work: AtWork, database: Database, temporal: Client) -> AsyncIterator[Given]:
    who, repository, agent_id = await organisation(database)
    agent = Agent(database, agent_id)
    sessions = Sessions(temporal, agent)
    await sessions.connect()
    yield Given(database, temporal, at_work.queue, who, agent, sessions, repository)
    await sessions.end()


@pytest_asyncio.fixture
async def commands(at_work: AtWork, settings: Settings, temporal: Client) -> AsyncIterator[JobCommands]:
    redis = build_redis(settings)
    yield JobCommands(temporal, at_work.queue, Presence(redis, temporal.namespace, at_work.queue))
    await redis.aclose()


@pytest_asyncio.fixture
async def service(commands: JobCommands, database: Database, settings: Settings) -> AsyncIterator[JobService]:
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    yield JobService(database, publisher, commands)
    await publisher.close()
    await redis.aclose()


@pytest_asyncio.fixture
async def gates(commands: JobCommands, database: Database) -> JobGates:
    return JobGates(database, commands)
