"""A worker that is killed, and a monitor that is terminated, between a claim's commit and the start of its workflow:
the job is not lost, and begins within the promised time."""

import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from pavo.jobs import domain as d
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.sql.models import JobRow
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from tests.driving import until
from tests.jobs.queue.queueing import Queueing
from tests.parts import Part, Parts, Stores, drop_database, new_database

pytestmark = pytest.mark.fault
DIES = str(Path(__file__).parent / "dies")
BEGINS_SECONDS = 10.0
"""What was claimed and has not begun after 5 s is begun by a monitor that the watch tells within 5 s (decision 69)."""
BUSY = 5.0
"""Times that on a machine that has other things to do."""


@dataclass
class AtClaim:
    """A queue whose workers do at a claim what a file says."""

    parts: Parts
    environment: dict[str, str]
    queueing: Queueing
    commands: QueueCommands
    temporal: Client
    flag: Path
    workers: list[Part] = field(default_factory=list[Part])

    async def worker(self) -> None:
        self.workers.append(await self.parts.start("worker", slices=(), command=False, **self.environment))

    async def until_claimed(self, job: uuid.UUID) -> None:
        async def claimed() -> bool:
            return (await self.queueing.row(job)).stage != d.QUEUED

        await until(claimed, what="a claim")

    async def until_begun(self, job: uuid.UUID) -> JobRow:
        """Until the workflow of its attempt has written."""

        async def begun() -> JobRow | None:
            row = await self.queueing.row(job)
            return row if row.run_id is not None else None

        return await until(begun, seconds=120, what="the beginning of the attempt")


@pytest_asyncio.fixture
async def at_claim(parts: Parts, stores: Stores, temporal: Client, tmp_path: Path) -> AsyncIterator[AtClaim]:
    url, queue, flag = new_database(stores), f"claims-{uuid.uuid4().hex[:8]}", tmp_path / "flag"
    upgrade(url)
    database = Database(url, pool_size=10)
    environment = {
        "DATABASE_URL": url,
        "TEMPORAL_TASK_QUEUE": queue,
        "PYTHONPATH": DIES,
        "PAVO_TEST_AT_CLAIM": str(flag),
    }
    queueing = Queueing(database)
    found = AtClaim(parts, environment, queueing, QueueCommands(database, temporal, queue), temporal, flag)
    yield found
    for each in found.workers:
        each.end()
    async for run in temporal.list_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"):
        with contextlib.suppress(RPCError):
            await temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate()
    await queueing.connections.close()
    await database.close()
    drop_database(stores, url)


async def test_a_worker_that_is_killed_after_its_claim(at_claim: AtClaim) -> None:
    """Another one begins the very attempt that was claimed."""
    queueing = at_claim.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    for _ in range(2):
        await at_claim.worker()
    at_claim.flag.write_text("die")
    job = await queueing.job(org)
    await at_claim.commands.look(org)
    await at_claim.until_claimed(job)
    begun = time.monotonic()
    row = await at_claim.until_begun(job)
    assert time.monotonic() - begun < BUSY * BEGINS_SECONDS
    assert (row.epoch, row.attempts) == (1, 1)
    assert sorted(each.process.poll() is None for each in at_claim.workers) == [False, True], "one was killed"


async def test_a_monitor_that_is_terminated_before_it_has_started_what_it_claimed(at_claim: AtClaim) -> None:
    queueing = at_claim.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    await at_claim.worker()
    at_claim.flag.write_text("halt")
    job = await queueing.job(org)
    await at_claim.commands.look(org)
    await at_claim.until_claimed(job)
    await at_claim.temporal.get_workflow_handle(d.queue_workflow_id(org)).terminate("by the test")
    at_claim.flag.unlink()
    begun = time.monotonic()
    row = await at_claim.until_begun(job)
    assert time.monotonic() - begun < BUSY * BEGINS_SECONDS
    assert (row.epoch, row.attempts) == (1, 1)
