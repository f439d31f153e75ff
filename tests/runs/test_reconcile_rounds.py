"""Workers compare rows with workflows by themselves, one of them each minute, and an idle day begins few workflows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import func, update
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.jobs import domain as d
from pavo.jobs.sql.models import JobRow
from pavo.kit.cancellation import end
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.runs.reconcile import EVERY, ROUNDS, TRY_SECONDS, ReconcileRounds
from pavo.runs.schedules import list_schedules, schedule_id
from tests.driving import until
from tests.jobs.attempt.given import Given, organisation
from tests.jobs.attempt.scripted import Agent, Sessions
from tests.parts import Parts, Stores, drop_database, free_port, new_database

A_DAY = timedelta(days=1)
LONG = timedelta(minutes=10)


@dataclass
class Workers:
    """Rounds of several workers on one task queue."""

    redis: Redis
    closing: AsyncExitStack
    queue: str = field(default_factory=lambda: f"rounds-{uuid4().hex[:8]}")
    looks: dict[str, int] = field(default_factory=dict[str, int])
    """By worker."""

    def start(
        self,
        name: str,
        every: timedelta,
        *,
        queue: str = "",
        redis: Redis | None = None,
        look: Callable[[], asyncio.Future[int]] | None = None,
    ) -> "asyncio.Task[None]":
        self.looks[name] = 0

        async def compare() -> int:
            self.looks[name] += 1
            return await look() if look else 0

        whose = (redis or self.redis, "default", queue or self.queue)
        rounds = ReconcileRounds(compare, *whose, every=every, try_seconds=0.05)
        task = asyncio.create_task(rounds.run())
        self.closing.push_async_callback(end, task)
        return task

    async def looked(self, name: str, times: int = 1) -> None:
        async def often() -> bool:
            return self.looks[name] >= times

        await until(often, what=f"{times} looks of {name}")


@pytest_asyncio.fixture
async def workers(settings: Settings) -> AsyncIterator[Workers]:
    redis = build_redis(settings)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(redis.aclose)
        yield Workers(redis, closing)


def test_no_minute_passes_without_a_round() -> None:
    assert EVERY + timedelta(seconds=TRY_SECONDS) <= timedelta(minutes=1)


async def test_one_of_several_workers_looks_at_once(workers: Workers) -> None:
    for name in ("a", "b", "c"):
        workers.start(name, LONG)
    workers.start("beside", timedelta(seconds=0.05), queue=f"{workers.queue}-beside")
    await workers.looked("beside", 10)  # the others have tried as often
    assert sum(workers.looks[name] for name in ("a", "b", "c")) == 1


async def test_another_one_follows_who_died_in_mid_round(workers: Workers) -> None:
    def for_ever() -> asyncio.Future[int]:
        return asyncio.get_running_loop().create_future()

    dies = workers.start("dies", timedelta(seconds=1), look=for_ever)
    await workers.looked("dies")
    workers.start("follows", timedelta(seconds=1))
    await end(dies)
    await workers.looked("follows", 2)


async def test_a_round_that_lasts_is_not_joined(workers: Workers) -> None:
    loop = asyncio.get_running_loop()
    lasting, every = loop.create_future(), timedelta(seconds=2)
    workers.start("lasts", every, look=lambda: lasting)
    await workers.looked("lasts")
    workers.start("waits", every)
    until_then = loop.time() + 2 * every.total_seconds()

    async def later() -> bool:
        return loop.time() > until_then

    await until(later)
    assert workers.looks == {"lasts": 1, "waits": 0}
    lasting.set_result(0)
    await workers.looked("waits")


async def test_who_cannot_compare_keeps_no_other_from_it(workers: Workers) -> None:
    def fails() -> asyncio.Future[int]:
        raise RuntimeError("this worker reaches nobody")

    workers.start("fails", timedelta(seconds=1), look=fails)
    await workers.looked("fails", 2)  # alone it goes on
    workers.start("compares", timedelta(seconds=1))
    await workers.looked("compares", 3)


async def test_each_looks_while_redis_is_away(workers: Workers) -> None:
    nobody = Redis.from_url(f"redis://127.0.0.1:{free_port()}")
    workers.closing.push_async_callback(nobody.aclose)
    workers.start("a", timedelta(seconds=0.2), redis=nobody)
    workers.start("b", LONG, redis=nobody)
    await workers.looked("a", 3)
    assert workers.looks["b"] == 1


@dataclass
class Deployed:
    """A deployment with a database of its own, in which nobody else does anything."""

    parts: Parts
    temporal: Client
    redis: Redis
    given: Given

    async def lost_job(self) -> JobRow:
        """One in progress whose workflow is not there, and whose agent keeps its lease."""
        job = await self.given.job()
        await self.given.lease(job, 3_600)
        async with self.given.database.transaction() as session:
            old = func.pavo_now() - timedelta(minutes=1)
            await session.execute(update(JobRow).where(JobRow.id == job).values(updated_at=old))
        return await self.given.row(job)

    async def a_day(self) -> float:
        """Workflows that schedules begin in one, as long as nothing happens."""
        found = 0.0
        for each in await list_schedules(self.temporal, "pavo"):
            if self.given.queue in each.id and not each.paused:
                described = await self.temporal.get_schedule_handle(each.id).describe()
                found += sum(A_DAY / interval.every for interval in described.schedule.spec.intervals)
        return found


@pytest_asyncio.fixture
async def deployed(stores: Stores, settings: Settings, temporal: Client, tmp_path: Path) -> AsyncIterator[Deployed]:
    url, queue = new_database(stores), f"idle-{uuid4().hex[:8]}"
    upgrade(url)
    database, redis = Database(url), build_redis(settings)
    who, repository, agent_id = await organisation(database)
    agent = Agent(database, agent_id)
    given = Given(database, temporal, queue, who, agent, Sessions(temporal, agent), repository)
    environment = {
        "DATABASE_URL": url,
        "REDIS_URL": stores.redis_url,
        "TEMPORAL_ADDRESS": stores.temporal_address,
        "TEMPORAL_TASK_QUEUE": queue,
        "PAVO_JOB_REVIEW_SECONDS": "0",
    }
    parts = Parts(environment, tmp_path)
    yield Deployed(parts, temporal, redis, given)
    parts.close()
    for each in await list_schedules(temporal, "pavo"):
        if queue in each.id:
            await temporal.get_schedule_handle(each.id).delete()
    await redis.aclose()
    await database.close()
    drop_database(stores, url)


async def test_what_is_lost_is_explained_at_a_start_and_after_a_death(deployed: Deployed) -> None:
    first = await deployed.lost_job()
    worker = await deployed.parts.start("worker")
    row = await deployed.given.until_stage(first.id, d.QUEUED)
    assert row.error is not None and row.error["type"] == "WorkflowLost"
    worker.kill()
    mark = f"pavo:reconciled:{deployed.temporal.namespace}:{deployed.given.queue}"
    assert 0 < await deployed.redis.pttl(mark) <= EVERY / timedelta(milliseconds=1)
    await deployed.redis.pexpire(mark, LONG)
    second = await deployed.lost_job()
    await deployed.parts.start("worker")
    assert (await deployed.given.row(second.id)).stage == d.CLAIMED
    await deployed.redis.pexpire(mark, 100)  # the minute is over
    await deployed.given.until_stage(second.id, d.QUEUED)


async def test_an_idle_day_begins_under_500_workflows(deployed: Deployed) -> None:
    """Also where jobs wait, and nobody is connected."""
    job = await deployed.lost_job()
    await deployed.parts.start("worker")
    await deployed.given.until_stage(job.id, d.QUEUED)
    own = schedule_id(ROUNDS, deployed.given.queue)

    async def few() -> bool:
        listed = [each.id for each in await list_schedules(deployed.temporal, own)]
        return bool(listed) and await deployed.a_day() < 500

    await until(few, what="schedules that rest")
    assert await deployed.a_day() == A_DAY / ROUNDS.every == 144
