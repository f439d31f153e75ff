"""The shapes of the histories of jobs, of the monitors of queues and of pings: name to a coroutine that makes one."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import insert, update
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.gates.service import GateService
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.agents.health_workflow import PingAgent
from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.commands import JobCommands
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.queue.workflow import LookAtQueues
from pavo.jobs.service import JobService
from pavo.jobs.sql.models import JobQueueRow, RemoteAgentRow
from pavo.jobs.sql.queue import NewJob, enqueue
from pavo.jobs.wiring import KIND
from pavo.jobs.workflow import CodingJob
from pavo.kit.sql import Database
from pavo.protocol.fleet_pb2 import Result
from pavo.runs.kinds import subjects_of
from pavo.runs.presence import Presence
from pavo.temporal.activities import implementations
from pavo.timeline.publish import Publisher
from tests.driving import until
from tests.jobs.attempt.given import Given, organisation
from tests.jobs.attempt.scripted import (
    Agent,
    Sessions,
    Step,
    executed,
    failure,
    for_ever,
    lease_lost,
    planned,
    session_lost,
    verified,
)
from tests.jobs.pinged import Gateway

LOCK_SECONDS = 12
"""Longer than a write waits inside the workflow task."""


@dataclass(frozen=True)
class RecordedJobs:
    """The stack whose workflows are recorded, and an organisation with one scripted agent."""

    given: Given
    settings: Settings
    service: JobService
    gates: GateService
    queues: QueueCommands

    @property
    def temporal(self) -> Client:
        return self.given.temporal

    @property
    def agent(self) -> Agent:
        return self.given.agent

    async def over(self, job: uuid.UUID, stage: str, epoch: int = 1) -> str:
        """The workflow of the attempt, once it is over and the job is in this stage."""
        name = d.workflow_id(job, epoch)
        with contextlib.suppress(WorkflowFailureError):
            await self.temporal.get_workflow_handle(name).result()
        assert (await self.given.row(job)).stage == stage
        return name

    async def asked(self, **more: Any) -> uuid.UUID:
        """A job whose agent was asked to execute it."""
        job = await self.given.job(**more)
        await self.given.start(job)
        await self.given.until_asked(c.START_EXECUTION)
        return job

    async def signal(self, job: uuid.UUID, signal: Any) -> None:
        """To the newest run of its first attempt."""
        await self.temporal.get_workflow_handle(d.workflow_id(job, 1)).signal(signal)

    def works(self, *results: Result) -> asyncio.Event:
        """The agent executes until this is set; what it answers, where it is asked more than once."""
        go = asyncio.Event()

        def until_set(result: Result) -> Step:
            async def step(_: c.RunCommand) -> Result:
                await go.wait()
                return result

            return step

        self.agent.will(c.START_EXECUTION, *(until_set(each) for each in results or (executed(),)))
        return go

    async def queued(self, jobs: int) -> list[uuid.UUID]:
        """So many jobs wait for the agent, which may be given all of them."""
        org, mine = self.given.who.organisation_id, RemoteAgentRow.id == self.agent.id
        new = [NewJob(org, self.given.repository, "t", "p", "main", "command") for _ in range(jobs)]
        async with self.given.database.transaction() as session:
            await session.execute(update(RemoteAgentRow).where(mine).values(programs=["command"], capacity=10))
            await session.execute(insert(JobQueueRow).values(organisation_id=org, at_once=10))
            for each in new:
                await enqueue(session, each)
        return [each.id for each in new]

    async def monitored(self) -> str:
        """The monitor of the organisation's queue, once it is over."""
        name = d.queue_workflow_id(self.given.who.organisation_id)
        await self.temporal.get_workflow_handle(name).result()
        return name

    async def ping(self) -> str:
        """A ping of the agent, as its schedule starts one."""
        name = f"ping-{uuid.uuid4()}"
        start = self.temporal.execute_workflow
        await start(PingAgent.run, str(self.agent.id), id=name, task_queue=self.given.queue)
        return name

    @asynccontextmanager
    async def locked(self, statement: str, *values: Any) -> AsyncGenerator[None]:
        """While somebody else holds what this selects for update."""
        async with await psycopg.AsyncConnection.connect(self.settings.database.url) as connection:
            await connection.execute(statement, values)  # pyright: ignore[reportArgumentType]
            yield


@asynccontextmanager
async def recorded_jobs(settings: Settings, temporal: Client, database: Database) -> AsyncGenerator[RecordedJobs]:
    """An organisation with an agent that is connected, on a stack whose worker serves these settings' task queue."""
    who, repository, agent_id = await organisation(database)
    agent, queue = Agent(database, agent_id), settings.temporal.task_queue
    sessions, redis = Sessions(temporal, agent), build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    await sessions.connect()
    commands = JobCommands(temporal, queue, Presence(redis, temporal.namespace, queue))
    try:
        yield RecordedJobs(
            Given(database, temporal, queue, who, agent, sessions, repository),
            settings,
            JobService(database, publisher, commands),
            GateService(database, JobGates(database, commands), subjects_of([KIND])),
            QueueCommands(database, temporal, queue),
        )
    finally:
        await sessions.end()
        await publisher.close()
        await redis.aclose()


# Attempts at jobs


async def done(stack: RecordedJobs) -> str:
    return await stack.over(await stack.asked(), d.DONE)


async def verification_rounds(stack: RecordedJobs) -> str:
    stack.agent.will(c.RUN_VERIFICATION, verified("tests"), verified())
    return await done(stack)


async def verification_that_fails(stack: RecordedJobs) -> str:
    stack.agent.will(c.RUN_VERIFICATION, verified("tests"), verified("tests"))
    return await stack.over(await stack.asked(rounds=1), d.FAILED)


async def no_changes(stack: RecordedJobs) -> str:
    stack.agent.will(c.START_EXECUTION, executed(changed=False))
    return await done(stack)


async def plan_review(stack: RecordedJobs) -> str:
    """The first plan is commented on, the second one accepted."""
    stack.agent.will(c.MAKE_PLAN, planned("1. This."), planned("1. That."))
    job, who = await stack.given.job(review=True), stack.given.who
    await stack.given.start(job)
    first = await stack.given.open_gate(job, "1. This.")
    await stack.gates.answer(who, first.id, first.hash, "revise", "Do that instead.")
    second = await stack.given.open_gate(job, "1. That.")
    await stack.gates.answer(who, second.id, second.hash, "accept", "")
    return await stack.over(job, d.DONE)


async def plan_review_that_is_cancelled(stack: RecordedJobs) -> str:
    job = await stack.given.job(review=True)
    await stack.given.start(job)
    await stack.given.open_gate(job, "1. Do it.")
    await stack.service.cancel(stack.given.who, job)
    return await stack.over(job, d.CANCELLED)


async def plan_review_that_moves_on(stack: RecordedJobs) -> str:
    """A rollout's: the review goes on in the next run."""
    job = await stack.given.job(review=True)
    await stack.given.start(job)
    gate = await stack.given.open_gate(job, "1. Do it.")
    await stack.signal(job, CodingJob.move_on)
    await stack.gates.answer(stack.given.who, gate.id, gate.hash, "accept", "")
    return await stack.over(job, d.DONE)


async def job_failure(stack: RecordedJobs) -> str:
    stack.agent.will(c.START_EXECUTION, failure("NoSpace"))
    return await stack.over(await stack.asked(), d.FAILED)


async def errors_that_pass(stack: RecordedJobs) -> str:
    stack.agent.will(c.START_EXECUTION, failure(retryable=True), failure(retryable=True))
    return await done(stack)


async def cancellation(stack: RecordedJobs) -> str:
    stack.agent.will(c.START_EXECUTION, stack.agent.until_cancelled)
    job = await stack.asked()
    await stack.service.cancel(stack.given.who, job)
    return await stack.over(job, d.CANCELLED)


async def cancellation_of_one_that_is_away(stack: RecordedJobs) -> str:
    """It is looked for until ten seconds are over."""
    stack.agent.will(c.START_EXECUTION, for_ever)
    job = await stack.asked()
    await stack.given.sessions.names(None)
    await stack.signal(job, CodingJob.cancel)
    return await stack.over(job, d.CANCELLED)


async def rework(stack: RecordedJobs) -> str:
    job = await stack.asked()
    await stack.over(job, d.DONE)
    await stack.service.rework(stack.given.who, job, "Shorter.")
    epoch = await stack.given.claim(job)
    await stack.given.start(job, epoch)
    return await stack.over(job, d.DONE, epoch)


async def lost_session(stack: RecordedJobs) -> str:
    """The command is begun again, by the same id."""
    stack.agent.will(c.START_EXECUTION, session_lost, session_lost)
    return await done(stack)


async def agent_that_comes_back_elsewhere(stack: RecordedJobs) -> str:
    go = stack.works()
    job = await stack.asked()
    await stack.given.sessions.connect()
    await stack.signal(job, CodingJob.agent_connected)
    await stack.given.until_asked(c.START_EXECUTION, 2)
    go.set()
    return await stack.over(job, d.DONE)


async def agent_that_is_away(stack: RecordedJobs) -> str:
    """Where its session's queue has nobody, and where it has none."""
    await stack.given.sessions.names(f"agent-{stack.agent.id}-nobody")
    job = await stack.given.job()
    handle = await stack.given.start(job)

    async def waits() -> bool:
        return (await handle.describe()).history_length > 20

    await until(waits, what="a time-out")
    await stack.given.sessions.names(None)
    await until(waits, what="a look for the agent")
    await stack.given.sessions.connect()
    await stack.signal(job, CodingJob.agent_connected)
    return await stack.over(job, d.DONE)


async def agent_that_is_silent(stack: RecordedJobs) -> str:
    """Longer than its heartbeats may be away."""
    go = stack.works()
    job = await stack.asked()
    await stack.given.until_asked(c.START_EXECUTION, 2)
    go.set()
    return await stack.over(job, d.DONE)


async def lost_lease(stack: RecordedJobs) -> str:
    """The first doubt was wrong."""
    stack.agent.will(c.START_EXECUTION, for_ever)
    job = await stack.asked()
    await stack.signal(job, CodingJob.lease_lost)
    await stack.given.lease(job, -1)
    await stack.signal(job, CodingJob.lease_lost)
    return await stack.over(job, d.QUEUED)


async def refused_lease(stack: RecordedJobs) -> str:
    """The gateway says that the attempt does not hold the job, for the last time that it may be tried."""
    stack.agent.will(c.START_EXECUTION, lease_lost)
    return await stack.over(await stack.asked(max_attempts=1), d.FAILED)


async def stuck(stack: RecordedJobs) -> str:
    stack.agent.will(c.START_EXECUTION, for_ever)
    job = await stack.asked()
    await stack.given.lease(job, 3_600)
    await stack.given.heard(job, 61)
    await stack.signal(job, CodingJob.lease_lost)
    return await stack.over(job, d.QUEUED)


async def older_attempt(stack: RecordedJobs) -> str:
    """Another one was begun meanwhile."""
    go = stack.works()
    job = await stack.asked()
    await stack.given.claim(job)
    go.set()
    return await stack.over(job, d.CLAIMED)


async def cleaning_up_that_is_owed(stack: RecordedJobs) -> str:
    stack.agent.will(c.CLEANUP, failure("Busy"))
    return await done(stack)


async def job_that_moves_on(stack: RecordedJobs) -> str:
    """A rollout's, in mid-command: its agent works on."""
    go = stack.works(executed(), executed())
    job = await stack.asked()
    await stack.signal(job, CodingJob.move_on)
    await stack.given.until_asked(c.START_EXECUTION, 2)
    go.set()
    return await stack.over(job, d.DONE)


async def long_job(stack: RecordedJobs) -> str:
    """Signals without end, which change nothing but the history's length."""
    go = stack.works(executed(), executed())
    job = await stack.asked()
    await stack.given.filled(d.workflow_id(job, 1))
    await stack.given.until_asked(c.START_EXECUTION, 2)
    go.set()
    return await stack.over(job, d.DONE)


async def stage_that_waits(stack: RecordedJobs) -> str:
    """PostgreSQL keeps a stage waiting: it leaves the workflow task."""
    go = stack.works()
    job = await stack.asked()
    async with stack.locked("SELECT 1 FROM jobs WHERE id = %s FOR NO KEY UPDATE", job):
        go.set()
        await asyncio.wait({asyncio.create_task(asyncio.sleep(LOCK_SECONDS))})
    return await stack.over(job, d.DONE)


# Monitors of queues


async def jobs_that_are_given(stack: RecordedJobs) -> str:
    jobs = await stack.queued(2)
    await stack.queues.look(stack.given.who.organisation_id)
    for job in jobs:
        await stack.given.until_stage(job, d.DONE)
    return await stack.monitored()


async def nothing_to_give(stack: RecordedJobs) -> str:
    await stack.queued(0)
    await stack.queues.look(stack.given.who.organisation_id)
    return await stack.monitored()


async def attempt_that_is_there(stack: RecordedJobs) -> str:
    """Its workflow was started before, by a monitor that died after that."""
    (job,) = await stack.queued(1)
    await stack.given.start(job)
    await stack.queues.look(stack.given.who.organisation_id)
    return await stack.monitored()


async def queue_that_others_hold(stack: RecordedJobs) -> str:
    """It looks again after a moment."""
    org = stack.given.who.organisation_id
    (job,) = await stack.queued(1)
    async with stack.locked("SELECT 1 FROM job_queues WHERE organisation_id = %s FOR UPDATE", org):
        await stack.queues.look(org)
        handle = stack.temporal.get_workflow_handle(d.queue_workflow_id(org))

        async def waits() -> bool:
            return (await handle.describe()).history_length > 10

        await until(waits, what="a second look")
    await stack.given.until_stage(job, d.DONE)
    return await stack.monitored()


async def busy_queue(stack: RecordedJobs) -> str:
    """Told of something without end while others hold it: it continues as new."""
    org = stack.given.who.organisation_id
    (job,) = await stack.queued(1)
    handle = stack.temporal.get_workflow_handle(d.queue_workflow_id(org))
    async with stack.locked("SELECT 1 FROM job_queues WHERE organisation_id = %s FOR UPDATE", org):
        await stack.queues.look(org)
        first = (await handle.describe()).run_id
        while (await handle.describe()).run_id == first:
            await asyncio.gather(*(stack.queues.tell(org) for _ in range(20)))
    await stack.given.until_stage(job, d.DONE)
    return await stack.monitored()


async def round_of_the_second_line(stack: RecordedJobs) -> str:
    name = f"line-{uuid.uuid4()}"
    await stack.temporal.execute_workflow(LookAtQueues.run, id=name, task_queue=stack.given.queue)
    return name


# Pings


async def ping_that_is_answered(stack: RecordedJobs) -> str:
    queue = f"agent-{stack.agent.id}-pinged"
    async with Worker(stack.temporal, task_queue=queue, activities=implementations(Gateway())):
        await stack.given.sessions.names(queue)
        return await stack.ping()


async def ping_of_a_silent_agent(stack: RecordedJobs) -> str:
    await stack.given.sessions.names(f"agent-{stack.agent.id}-nobody")
    return await stack.ping()


async def third_ping_of_a_silent_agent(stack: RecordedJobs) -> str:
    """It is offline by that; it had no stream any more."""
    async with stack.given.database.transaction() as session:
        mine = RemoteAgentRow.id == stack.agent.id
        await session.execute(update(RemoteAgentRow).where(mine).values(online=True, queue=None, failed_pings=2))
    return await stack.ping()


async def ping_of_nobody(stack: RecordedJobs) -> str:
    await stack.given.sessions.names(None)
    return await stack.ping()


JOB_SHAPES: dict[str, Callable[[RecordedJobs], Awaitable[str]]] = {
    shape.__name__: shape
    for shape in (
        *(done, verification_rounds, verification_that_fails, no_changes, job_failure, errors_that_pass, rework),
        *(plan_review, plan_review_that_is_cancelled, plan_review_that_moves_on),
        *(cancellation, cancellation_of_one_that_is_away, cleaning_up_that_is_owed),
        *(lost_session, agent_that_comes_back_elsewhere, agent_that_is_away, agent_that_is_silent),
        *(lost_lease, refused_lease, stuck, older_attempt, job_that_moves_on, long_job, stage_that_waits),
        *(jobs_that_are_given, nothing_to_give, attempt_that_is_there, queue_that_others_hold, busy_queue),
        round_of_the_second_line,
        *(ping_that_is_answered, ping_of_a_silent_agent, third_ping_of_a_silent_agent, ping_of_nobody),
    )
}
