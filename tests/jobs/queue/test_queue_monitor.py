"""The monitor on the real Temporal: who starts it, what it starts, when it ends, and what its death costs."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from pavo.errors import Unavailable
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.lease_watch import LeaseWatch
from pavo.jobs.leases.repository import COME_BACK_SECONDS
from pavo.jobs.queue.activities import QueueRecorder
from pavo.jobs.queue.commands import LINES, QueueCommands
from pavo.jobs.queue.workflow import LookAtQueues, QueueMonitor
from pavo.jobs.sql import transitions
from pavo.jobs.sql.attempts import end_attempt
from pavo.jobs.sql.models import JobRow
from pavo.jobs.sql.waiting import LostAttempt
from pavo.runs.schedules import ensure_schedules, schedule_id
from pavo.runs.story import short_queue
from pavo.temporal.activities import implementations
from pavo.temporal.sandbox import Sandbox
from tests.driving import until
from tests.jobs.queue.queueing import Queueing
from tests.jobs.queue.stand_in import StandIn, StandInWrites
from tests.listening import listened


class Unwatched:
    """Nobody is shown what is published."""

    def publish(self, events: Any) -> None:
        """Nothing."""


class LosesAnswers(QueueRecorder):
    """Claims, and dies before it has told so: each first try."""

    losing = False

    @activity.defn(name="take_jobs")
    async def take_jobs(self, request: c.TakeJobs) -> c.Taken:
        taken = await super().take_jobs(request)
        if self.losing and activity.info().attempt == 1:
            raise RuntimeError("the worker dies here")
        return taken


@dataclass
class Monitored:
    """A task queue with a worker, and what a test asks it."""

    queueing: Queueing
    temporal: Client
    queue: str
    commands: QueueCommands
    watch: LeaseWatch
    recorder: LosesAnswers

    def monitor(self, org: uuid.UUID | None) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(d.queue_workflow_id(org) if org else d.SHARED_QUEUE)

    def attempt(self, job: uuid.UUID, epoch: int = 1) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(d.workflow_id(job, epoch))

    async def at(self, job: uuid.UUID, stage: str, epoch: int = 1) -> JobRow:
        async def there() -> JobRow | None:
            row = await self.queueing.row(job)
            return row if (row.stage, row.epoch) == (stage, epoch) else None

        return await until(there, what=f"{stage} under epoch {epoch}")

    async def ended(self, org: uuid.UUID | None) -> None:
        """The newest run of a monitor is over, by itself."""

        async def over() -> bool:
            return (await self.monitor(org).describe()).status == WorkflowExecutionStatus.COMPLETED

        await until(over, what="the end of the monitor")

    async def paused(self) -> bool:
        handle = self.temporal.get_schedule_handle(schedule_id(LINES, self.queue))
        return (await handle.describe()).schedule.state.paused


@pytest_asyncio.fixture
async def monitored(queueing: Queueing, temporal: Client) -> AsyncIterator[Monitored]:
    queue = f"queues-{uuid.uuid4().hex[:8]}"
    database = queueing.database
    commands = QueueCommands(database, temporal, queue)
    recorder = LosesAnswers(database, Unwatched(), commands)  # pyright: ignore[reportArgumentType]
    watch = LeaseWatch(database, temporal, Unwatched(), commands, 3_600.0)  # pyright: ignore[reportArgumentType]
    writes = StandInWrites(database, commands.look)
    activities = [*implementations(recorder), *implementations(writes)]
    workflows = [QueueMonitor, LookAtQueues, StandIn]
    serving = Worker(temporal, task_queue=queue, workflows=workflows, activities=activities, workflow_runner=Sandbox())
    async with serving, Worker(temporal, task_queue=short_queue(queue), activities=activities):
        yield Monitored(queueing, temporal, queue, commands, watch, recorder)
        async for run in temporal.list_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"):
            with contextlib.suppress(RPCError):
                await temporal.get_workflow_handle(run.id, run_id=run.run_id).terminate()
        await database.kept.close()
    with contextlib.suppress(RPCError):
        await temporal.get_schedule_handle(schedule_id(LINES, queue)).delete()


async def test_it_starts_the_attempt_ends_and_goes_on_when_that_is_over(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    jobs = [await queueing.job(org) for _ in range(3)]
    await monitored.commands.look(org)
    for number, how in enumerate(("done", "failed", "cancelled")):
        await monitored.at(jobs[number], d.EXECUTING)
        await monitored.ended(org)
        described = await monitored.attempt(jobs[number]).describe()
        assert described.status == WorkflowExecutionStatus.RUNNING, "it lives on"
        assert described.parent_id == d.queue_workflow_id(org)
        if number + 1 < len(jobs):
            assert (await queueing.row(jobs[number + 1])).stage == d.QUEUED, "one at a time"
        await monitored.attempt(jobs[number]).signal(StandIn.finish, how)
        assert await monitored.attempt(jobs[number]).result() == how
    assert [(await queueing.row(job)).stage for job in jobs] == [d.DONE, d.FAILED, d.CANCELLED]


async def test_it_ends_though_an_attempt_that_was_started_has_not_begun(monitored: Monitored) -> None:
    """Its worker hangs, or is gone: the attempt is started again each time, and nothing polls hot until it begins."""
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    await monitored.commands.look(org)
    await monitored.at(job, d.EXECUTING)
    await monitored.ended(org)
    late = "stage = 'CLAIMED', temporal_run_id = NULL, claimed_at = pavo_now() - interval '1 min'"
    await queueing.execute(f"UPDATE jobs SET {late} WHERE id = :id", id=job)
    before = (await monitored.monitor(org).describe()).run_id
    await monitored.commands.look(org)
    await monitored.ended(org)
    described = await monitored.monitor(org).describe()
    assert described.run_id != before and described.history_length < 30


async def test_it_ends_where_nothing_can_be_given(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation()
    job = await queueing.job(org)
    await monitored.commands.look(org)
    await monitored.ended(org)
    history = await monitored.monitor(org).fetch_history()
    assert len(history.events) < 12, "it looked once"
    await queueing.execute("UPDATE job_queues SET paused_at = pavo_now() WHERE organisation_id = :org", org=org)
    await queueing.agent(org)
    await monitored.commands.look(org)
    await monitored.ended(org)
    assert (await queueing.row(job)).stage == d.QUEUED


async def test_no_look_is_lost_however_many_come(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation(at_once=60)
    await queueing.agent(org, capacity=60)

    async def submit() -> uuid.UUID:
        job = await queueing.job(org)
        await monitored.commands.look(org)
        return job

    jobs = await asyncio.gather(*(submit() for _ in range(50)))
    for job in jobs:
        await monitored.at(job, d.EXECUTING)
    await monitored.ended(org)


async def test_agents_that_serve_all_are_given_out_too(monitored: Monitored) -> None:
    queueing = monitored.queueing
    first, second = await queueing.organisation(), await queueing.organisation()
    ahead, behind = await queueing.job(first), await queueing.job(second)
    await queueing.agent(None)
    await monitored.commands.look(None)
    await monitored.at(ahead, d.EXECUTING)
    assert (await queueing.row(behind)).stage == d.QUEUED
    await monitored.attempt(ahead).signal(StandIn.finish, "done")
    await monitored.at(behind, d.EXECUTING)
    await monitored.ended(first)


async def test_what_was_claimed_before_an_answer_was_lost_is_begun_all_the_same(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    monitored.recorder.losing = True
    await monitored.commands.look(org)
    row = await monitored.at(job, d.EXECUTING)
    assert (row.epoch, row.attempts) == (1, 1)


async def test_a_workflow_that_is_there_is_not_started_twice(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    early = await monitored.temporal.start_workflow(
        StandIn.run, c.JobInput(str(job), 1), id=d.workflow_id(job, 1), task_queue=monitored.queue
    )
    assert await early.result() == "nothing", "it held nothing yet"
    await monitored.commands.look(org)
    await monitored.at(job, d.CLAIMED)
    await monitored.ended(org)


async def test_a_monitor_that_is_terminated_after_its_claim(monitored: Monitored) -> None:
    """The claim runs out, and the job goes back to its place with the attempt counted, and is begun again."""
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    claim = await queueing.take(org)  # as the monitor did, that is gone
    assert claim is not None
    assert await monitored.watch.look() == 0, "its time is not over"
    await queueing.execute("UPDATE jobs SET lease_until = pavo_now() - interval '1 s' WHERE id = :id", id=job)
    assert await monitored.watch.look() == 1
    row = await monitored.at(job, d.EXECUTING, epoch=2)
    assert row.attempts == 2
    attempt = await queueing.attempt(job, 1)
    assert (attempt.ended, attempt.cleanup_owed) == ("lost", True) and "nothing began it" in attempt.reason


async def test_a_lease_that_ran_out_is_told_to_the_attempts_workflow(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org, tries=1)
    await monitored.commands.look(org)
    await monitored.at(job, d.EXECUTING)
    await queueing.execute("UPDATE jobs SET lease_until = pavo_now() - interval '1 s' WHERE id = :id", id=job)
    await asyncio.gather(monitored.watch.look(), monitored.watch.look())
    row = await monitored.at(job, d.FAILED)
    assert row.error is not None and row.error["type"] == "AttemptsUsedUp"
    assert await monitored.attempt(job).result() == "lost"


@pytest.mark.parametrize(
    ("away", "since", "seen"),
    [
        ("everything, until now", 7_200.0, 3_600.0),
        ("gateways, and one has just come", 1.0, 0.0),
        ("PostgreSQL: nobody wrote in it, and a gateway does so again", 39.0, 3.0),
    ],
)
async def test_an_outage_that_is_longer_than_a_lease_loses_nothing(
    monitored: Monitored, away: str, since: float, seen: float
) -> None:
    """Two hours of it: an attempt at work, and one that was claimed just before. Agents get time to come back first."""
    queueing = monitored.queueing
    org = await queueing.organisation(at_once=2)
    await queueing.agent(org, capacity=2)
    working = await queueing.job(org)
    await monitored.commands.look(org)
    await monitored.at(working, d.EXECUTING)
    claimed = await queueing.job(org)
    assert await queueing.take(org) is not None
    long_ago = "lease_until = pavo_now() - interval '2 h', heard_at = pavo_now() - interval '2 h'"
    await queueing.execute(f"UPDATE jobs SET {long_ago}, claimed_at = pavo_now() - interval '2 h'")
    await listened(queueing.database, since, seen)
    assert await monitored.watch.look() == 0, away
    await monitored.at(claimed, d.EXECUTING)
    async with queueing.database.reading() as session:
        route = await transitions.route(session, working, 1, 3_600.0)
    assert route.holds and not route.expired and not route.stuck, "as the attempt's workflow looks"
    await queueing.execute("UPDATE jobs SET heard_at = pavo_now() WHERE id = :id", id=claimed)
    await queueing.execute("UPDATE jobs SET lease_until = pavo_now() + interval '1 min' WHERE id = :id", id=claimed)
    await listened(queueing.database, COME_BACK_SECONDS + 1, 3)
    assert await monitored.watch.look() == 1, "its agent had time to come back, and did not"
    assert (await monitored.at(working, d.EXECUTING, epoch=2)).attempts == 2


async def test_one_attempt_that_cannot_be_ended_stops_no_other(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round ends with what failed, and with nothing under way."""
    queueing = monitored.queueing
    org = await queueing.organisation(at_once=2)
    await queueing.agent(org, capacity=2)
    jobs = [await queueing.job(org) for _ in range(2)]
    for _ in jobs:
        assert await queueing.take(org) is not None
    await queueing.execute("UPDATE jobs SET lease_until = pavo_now() - interval '1 s'")
    end_here = monitored.watch._end_here  # pyright: ignore[reportPrivateUsage]

    async def fails_for_one(lost: LostAttempt) -> None:
        if lost.job_id == jobs[0]:
            raise Unavailable("PostgreSQL is away.", dependency="postgres")
        await asyncio.sleep(0)  # the other one has failed already
        await end_here(lost)

    monkeypatch.setattr(monitored.watch, "_end_here", fails_for_one)
    with pytest.raises(Unavailable):
        await monitored.watch.look()
    assert (await queueing.attempt(jobs[1], 1)).ended == "lost", "it was waited for"
    assert (await queueing.row(jobs[0])).epoch == 1


async def test_a_job_that_is_not_heard_of_is_stuck_unless_people_are_asked(monitored: Monitored) -> None:
    queueing = monitored.queueing
    org = await queueing.organisation(at_once=2)
    await queueing.agent(org, capacity=2)
    silent, asked = await queueing.job(org), await queueing.job(org)
    await monitored.commands.look(org)
    for job in (silent, asked):
        await monitored.at(job, d.EXECUTING)
        await queueing.execute("UPDATE jobs SET heard_at = pavo_now() - interval '59 min' WHERE id = :id", id=job)
    assert await monitored.watch.look() == 0
    gate = (
        "INSERT INTO gates (id, organisation_id, subject_id, scope, kind, key, body, hash, schema)"
        " VALUES (gen_random_uuid(), :org, :id, 's', 'plan', 'plan', 'b', 'h', '{}')"
    )
    await queueing.execute(gate, org=org, id=asked)
    late = "UPDATE jobs SET heard_at = pavo_now() - interval '61 min', lease_until = pavo_now() + interval '1 min'"
    await queueing.execute(late)
    await monitored.attempt(silent).terminate("by the test")
    assert await monitored.watch.look() == 1
    row = await monitored.at(silent, d.EXECUTING, epoch=2)
    assert row.attempts == 2 and "No log line" in (await queueing.attempt(silent, 1)).reason
    assert (await queueing.row(asked)).epoch == 1


async def test_the_second_line_gives_out_what_nobody_was_told_of_and_rests(monitored: Monitored) -> None:
    queueing = monitored.queueing
    await ensure_schedules(monitored.temporal, monitored.queue, [LINES])
    await until(monitored.paused, what="rest where there is nothing")
    org = await queueing.organisation()
    await queueing.job(org)
    await monitored.commands.jobs_wait()
    assert await monitored.paused(), "nobody is there"
    await queueing.agent(org)
    second = await queueing.job(org)
    await monitored.commands.resume_line(org)
    first = next(row for row in await queueing.rows() if row.id != second)
    await monitored.at(first.id, d.EXECUTING)
    assert not await monitored.paused(), "one waits for an agent that is there"
    await monitored.ended(org)
    claim = await queueing.row(first.id)
    async with queueing.database.transaction() as session:  # and nobody is told
        await end_silently(session, claim)
    await monitored.at(second, d.EXECUTING)
    await until(monitored.paused, what="rest once nothing waits")


async def test_an_operators_pause_stays(monitored: Monitored) -> None:
    queueing = monitored.queueing
    await ensure_schedules(monitored.temporal, monitored.queue, [LINES])
    handle = monitored.temporal.get_schedule_handle(schedule_id(LINES, monitored.queue))
    await handle.pause(note="by hand")
    org = await queueing.organisation()
    await queueing.agent(org)
    await queueing.job(org)
    await monitored.commands.resume_line(org)
    assert await monitored.paused()


async def end_silently(session: Any, row: JobRow) -> None:
    assert (await end_attempt(session, row.id, row.epoch, None, "done")).wrote
