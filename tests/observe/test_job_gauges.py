"""What an API's metrics show of jobs and agents."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from sqlalchemy import text

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.errors import Unavailable
from pavo.jobs.figures.gauges import measure
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from tests.jobs.organisations import add_agent, add_job
from tests.parts import Stores, drop_database, new_database

AGENTS = ("online", "draining", "offline")


@pytest_asyncio.fixture
async def own(stores: Stores) -> AsyncIterator[Database]:
    url = new_database(stores)
    upgrade(url)
    found = Database(url, pool_size=2)
    yield found
    await found.close()
    drop_database(stores, url)


async def run(database: Database, statement: str, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


def shown() -> list[float]:
    """Agents by state, queues that could be served, commands that are pending."""
    agents = [metrics.REMOTE_AGENTS.values[(state,)] for state in AGENTS]
    return [*agents, metrics.JOB_QUEUES_READY.values[()], metrics.JOB_COMMANDS_PENDING.values[()]]


def age(gauge: Any) -> float:
    return round(gauge.values[()], -1)


async def test_jobs_and_agents_are_measured(own: Database) -> None:
    await measure(own)
    assert shown() == [0, 0, 0, 0, 0] and age(metrics.JOBS_OLDEST) == age(metrics.JOBS_SILENT) == 0
    who = await AccountsService(own, HttpSettings.model_validate({"auth": "dev"})).first_sight("ada@example.com")
    organisation, repository = who.organisation_id, uuid.uuid4()
    place = "INSERT INTO repositories (id, organisation_id, name, clone_url) VALUES (:id, :of, 'r', 'http://x/r.git')"
    await run(own, place, id=repository, of=organisation)
    await run(own, "INSERT INTO job_queues (organisation_id) VALUES (:of)", of=organisation)
    free = {"online": True, "queue": "q", "programs": ["command"], "capacity": 2}
    busy = await add_agent(own, organisation, "busy", **free)
    await add_agent(own, organisation, "draining", online=True, drain_asked=True)
    await add_agent(own, None, "away")
    job = await add_job(own, organisation, repository)
    await run(own, "UPDATE jobs SET queued_at = pavo_now() - interval '300 s'")
    await measure(own)
    assert shown() == [1, 1, 1, 1, 0] and age(metrics.JOBS_OLDEST) == 300

    await run(own, "UPDATE job_queues SET paused_at = pavo_now()")
    await measure(own)
    assert shown() == [1, 1, 1, 0, 0] and age(metrics.JOBS_OLDEST) == 0, "a paused queue is meant to wait"

    at_work = """UPDATE jobs SET stage = 'EXECUTING', epoch = 1, agent_id = :agent,
        heard_at = pavo_now() - interval '90 s'"""
    await run(own, at_work, agent=busy)
    command = "INSERT INTO job_commands (id, job_id, epoch, kind, request) VALUES (:id, :job, 1, 'start_execution', '')"
    await run(own, command, id=uuid.uuid4(), job=job)
    await measure(own)
    assert shown() == [1, 1, 1, 0, 1] and age(metrics.JOBS_SILENT) == 90

    async with own.transaction() as session:
        await timeline.create(session, job, NewEvent("queued"))
    asks = """INSERT INTO gates (id, organisation_id, subject_id, subject_kind, scope, kind, key, body, hash, schema)
        VALUES (:id, :of, :job, 'job', 'v', 'plan', 'plan', '', '', '{}')"""
    await run(own, asks, id=uuid.uuid4(), of=organisation, job=job)
    await measure(own)
    assert age(metrics.JOBS_SILENT) == 0, "it waits for a person"


async def test_what_cannot_be_known_shows_nothing() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    metrics.REMOTE_AGENTS.set(3, "online")
    try:
        await measure(away)
    except Unavailable:
        assert dict(metrics.REMOTE_AGENTS.values) == {}
    else:
        raise AssertionError("it is away")
    finally:
        await away.close()
