"""The short writes of a job's workflow."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

from temporalio import activity

from pavo.config import JobSettings
from pavo.jobs import contracts as c
from pavo.jobs import events
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.attempt import contracts as a
from pavo.jobs.attempt import plans
from pavo.jobs.attempt.job_files import put_aside
from pavo.jobs.attempt.reports import AttemptReports
from pavo.jobs.sql import attempts, results, transitions
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

Look = Callable[[uuid.UUID | None], Awaitable[None]]
"""Has the monitor of an organisation's queue look at once; never raises, for its schedule looks too."""


class JobRecorder(a.JobActivities):
    """One transaction per write, keyed by the fence, so that repeating one changes nothing.

    Args:
        look: told whenever a place at an agent or in a queue has become free.
        settings: how long a job and its commands may be silent.
        reports: written before an attempt ends.
    """

    def __init__(
        self, database: Database, publisher: Publisher, look: Look, settings: JobSettings, reports: AttemptReports
    ) -> None:
        self._reports = reports
        self._database = database
        self._publisher = publisher
        self._look = look
        self._settings = settings

    @activity.defn(name="begin_job_attempt")
    async def begin_attempt(self, request: a.BeginAttempt) -> c.Plan:
        """Note the workflow in the row; what is to be done."""
        job_id = uuid.UUID(request.job_id)
        async with self._database.transaction() as session:  # of its own: it may wait for a file that is being kept
            await put_aside(session, HeldJob(job_id, request.epoch), request.fence)
        async with self._database.transaction() as session:
            plan = await transitions.begin(session, job_id, request.epoch, request.fence)
            if plan.review_plan:
                job = await attempts.locked(session, job_id)
                known = job is not None and await plans.accepted_plan(session, job) is not None
                plan = replace(plan, review_plan=not known)
        return replace(plan, heartbeat_seconds=self._settings.heartbeat_seconds)

    @activity.defn(name="route_job")
    async def route(self, request: c.JobInput) -> c.Route:
        """Where commands of this attempt go now."""
        silence = self._settings.stuck_minutes * 60
        async with self._database.reading() as session:
            return await transitions.route(session, uuid.UUID(request.job_id), request.epoch, silence)

    @activity.defn(name="enter_job_stage")
    async def enter_stage(self, request: a.EnterStage) -> bool:
        """Whether the attempt still holds the job; then the stage is shown."""
        wanted = (uuid.UUID(request.job_id), request.epoch, request.fence, request.stage)
        async with self._database.transaction() as session:
            holds, recorded = await transitions.enter(session, *wanted)
        self._publisher.publish(recorded)
        return holds

    @activity.defn(name="end_job_attempt")
    async def end_attempt(self, request: a.EndAttempt) -> str:
        """The stage in which the job is then; the queue's monitor is told."""
        await self._reports.write(HeldJob(uuid.UUID(request.job_id), request.epoch), request)
        async with self._database.transaction() as session:
            ended = await attempts.end_attempt(
                session,
                uuid.UUID(request.job_id),
                request.epoch,
                request.fence,
                request.how,
                request.error,
                request.cause,
                request.remedy,
                cleaned=request.cleaned,
                command_id=request.command_id,
                outcome=request.outcome,
            )
        self._publisher.publish(ended.events)
        if ended.organisation_id is not None:
            await self._look(ended.organisation_id)
        return ended.stage

    @activity.defn(name="open_job_plan")
    async def open_plan(self, request: a.JobStep) -> a.PlanOpened:
        """Have people asked about the plan that the command made."""
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            job = await attempts.locked(session, uuid.UUID(request.job_id))
            if job is None or not attempts.holds(job, request.epoch):
                return a.PlanOpened(holds=False)
            made = await results.of_command(session, request.command_id)
            text = plans.plan_text(made.planned.text if made is not None else "")
            gate = await plans.open_review(session, job, text)
            if attempts.is_newer(job, request.fence):
                version = await plans.answered_before(session, job) + 1
                told = events.plan(request.epoch, gate.id, gate.hash, version)
                recorded = await timeline.append(session, job.id, [told])
                await transitions.number(session, job, request.fence)
        self._publisher.publish(recorded)
        return a.PlanOpened(True, str(gate.id), plans.is_accepted(gate))

    @activity.defn(name="record_job_plan_answer")
    async def record_plan_answer(self, request: a.RecordPlanAnswer) -> a.PlanAnswered:
        """Close the gate with an answer."""
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            job = await attempts.locked(session, uuid.UUID(request.job_id))
            if job is None:
                return a.PlanAnswered(taken=False)
            gate, closed, taken = await plans.close(session, uuid.UUID(request.gate_id), uuid.UUID(request.answer_id))
            if gate is None:
                return a.PlanAnswered(taken=False)
            accepted = plans.is_accepted(gate)
            if closed:
                told = events.plan_answered(gate.id, gate.answered_by or "", gate.note, accepted=accepted)
                recorded = await timeline.append(session, job.id, [told])
        self._publisher.publish(recorded)
        return a.PlanAnswered(taken, gate.answered_at is not None, accepted)
