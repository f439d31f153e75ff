"""Making a plan: gather context, let the agent plan or revise, store the draft."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.contract import FeedbackItem, PlanDraft, Revision
from pavo.agents.host import AgentHost
from pavo.errors import AgentDied, AgentError, AgentRefused, Superseded
from pavo.kit.clock import now
from pavo.kit.ids import new_id
from pavo.observe.spans import span
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.assignment import Assignment, plan_from, plan_of
from pavo.tasks.sql.models import DocumentRow, FeedbackRow, TaskRow
from pavo.tasks.sql.statements import Statements
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import Opened
from pavo.tasks.work.failures import ExplainedFailure, failure_of
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption, until_interrupted
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be planned: from scratch, or the revision of `reviewed`."""

    assignment: Assignment
    reviewed: DocumentRow | None
    feedback: Sequence[FeedbackRow]
    version: int
    made: c.PlanMade | None
    """What an attempt before stored, which died before it could say so."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of it; `opened` where the plan was accepted by policy and may be executed at once."""

    made: c.PlanMade
    opened: Opened | None = None


class Planner:
    """Makes plans; any number at once on one event loop."""

    def __init__(self, hosting: Hosting, statements: Statements, attempts: Attempts) -> None:
        self._hosting = hosting
        self._statements = statements
        self._database = hosting.database
        self._publisher = hosting.publisher
        self._attempts = attempts

    async def plan(self, request: c.MakePlan, interruption: Interruption) -> Planned | Cut:
        """Plan or revise; Cut when a stop or shutdown ended it.

        Raises:
            Superseded: a newer run has the task.
        """
        task_id = uuid.UUID(request.task_id)
        self._attempts.begin(task_id, interruption)
        cancelled = asyncio.Event()
        try:
            job = await self._begin(task_id, request.fence)
            if job is None:
                # A worker died while it executed what it had planned: nothing is to be planned again.
                if request.auto_accept and (known := await self._statements.accepted_plan(task_id, request.fence)):
                    return Planned(c.PlanMade(known, accepted=True))
                job = await self._begin_again(task_id, request)
            if job.made is not None:
                return Planned(job.made)
            try:
                grace = self._hosting.grace(job.assignment.agent_type)
            except AgentRefused as refusal:
                return await self._failed(job, request, refusal)
            work = self._work(job, request, cancelled)
            return await until_interrupted(work, interruption, grace=grace, on_interrupt=cancelled)
        finally:
            self._attempts.end(task_id, interruption)

    async def _begin(self, task_id: uuid.UUID, fence: d.Fence) -> _Job | None:
        """Show PLANNING for a task that was just started; None when it has a past."""
        begun = await self._statements.begin_plan(task_id, fence, [events.stage(d.PLANNING)])
        if begun is None:
            return None
        assignment, recorded = begun
        self._publisher.publish(recorded)
        return _Job(assignment, None, [], 1, None)

    async def _begin_again(self, task_id: uuid.UUID, request: c.MakePlan) -> _Job:
        """Show PLANNING, and read what there is to plan."""
        fresh: list[Event] = []
        async with self._database.transaction() as session:
            task = await _locked(session, task_id, request.fence)
            plans = await repository.plans(session, task_id)
            if repository.is_new(task, request.fence):
                shown = task.stage == d.PLANNING
                await repository.advance(
                    session,
                    task,
                    request.fence,
                    stage=d.PLANNING,
                    status=d.STATUS_OF[d.PLANNING],
                    phase=_phase(plans),
                    error=None,
                )
                new: list[NewEvent] = [] if shown else [events.stage(d.PLANNING)]
                fresh = await timeline.append(session, task_id, new)
            made = _made(task, plans)
            visible = [plan for plan in plans if plan.status != repository.DRAFT]
            reviewed = visible[0] if visible else None
            feedback = await repository.feedback(session, reviewed.id) if reviewed else []
        self._publisher.publish(fresh)
        return _Job(Assignment.of(task), reviewed, feedback, (reviewed.version if reviewed else 0) + 1, made)

    async def _work(self, job: _Job, request: c.MakePlan, cancelled: asyncio.Event) -> Planned:
        gathered = await self._gather(job, request)
        host = await self._hosting.open(job.assignment, cancelled=cancelled, context=gathered)
        try:
            if job.reviewed is None:
                with span("plan", {"pavo.task_id": request.task_id}):
                    draft = await host.plan()
                return await self._store(job, request, draft, {})
            with span("revise", {"pavo.task_id": request.task_id}):
                revision = await _revise(host, job)
            return await self._store(job, request, revision.plan, revision.answers)
        except (AgentError, AgentDied) as error:
            return await self._failed(job, request, error)
        finally:
            await host.close(force=cancelled.is_set())

    async def _gather(self, job: _Job, request: c.MakePlan) -> Sequence[Any]:
        if job.reviewed is not None or not self._hosting.wants_context(job.assignment.agent_type):
            return ()
        hits = await self._hosting.gather(job.assignment)
        await self._note(job.assignment.id, request.fence, events.context([hit.title for hit in hits]))
        return hits

    async def _note(
        self, task_id: uuid.UUID, fence: d.Fence, event: NewEvent | None, failure: ExplainedFailure | None = None
    ) -> None:
        """Tell viewers, unless an attempt before did, or was quicker and has finished planning."""
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            task = await _locked(session, task_id, fence)
            if repository.is_latest(task, fence):
                if failure is not None:
                    await lease.note_failure(session, task_id, failure.told())
                if event is not None:
                    recorded = await timeline.append_once(session, task_id, event)
        self._publisher.publish(recorded)

    async def _failed(self, job: _Job, request: c.MakePlan, error: AgentError | AgentDied) -> Planned:
        failure = failure_of(error)
        failures = request.failures + 1
        retry: NewEvent | None = None
        if failures >= d.MAX_STEP_ATTEMPTS or isinstance(error, AgentRefused):
            failure = replace(failure, retryable=False)
        else:
            retry = events.retry(0, failure.cause, failures)
        await self._note(job.assignment.id, request.fence, retry, failure)
        return Planned(c.PlanMade(failure=failure.decided()))

    async def _store(self, job: _Job, request: c.MakePlan, draft: PlanDraft, answers: Any) -> Planned:
        """Store the draft and the answers to the feedback; with auto_accept accept it in the same transaction."""
        by_policy = request.auto_accept and job.reviewed is None
        row = _plan_row(job, draft, by_policy=by_policy)
        if by_policy:
            accepted = await self._statements.accept_by_policy(job.assignment.id, request.fence, row, _accepted(row))
            if accepted is not None:
                held, fresh = accepted
                self._publisher.publish(fresh)
                plan = plan_from(row["version"], row["hash"], row["content"])
                return Planned(c.PlanMade(row["hash"], accepted=True), Opened(held, job.assignment, plan))
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            task = await _locked(session, job.assignment.id, request.fence)
            if made := _made(task, await repository.plans(session, task.id)):
                return Planned(made)  # another attempt was quicker
            await repository.add_document(session, row)
            for item in job.feedback:
                await repository.answer_feedback(session, item.id, answers[str(item.id)], row["id"])
            if by_policy:
                recorded = await self._accept(session, task, request.fence, row)
        self._publisher.publish(recorded)
        return Planned(c.PlanMade(row["hash"], accepted=by_policy))

    async def _accept(self, session: AsyncSession, task: TaskRow, fence: d.Fence, row: dict[str, Any]) -> list[Event]:
        following = replace(fence, transition=fence.transition + 1)
        await repository.advance(
            session, task, following, stage=d.EXECUTING, status=d.STATUS_OF[d.EXECUTING], phase=d.PHASE_EXECUTING
        )
        return await timeline.append(session, task.id, _accepted(row))


def _accepted(row: dict[str, Any]) -> list[NewEvent]:
    return [
        events.plan(row["id"], row["version"], row["hash"]),
        events.accepted(row["id"], row["hash"], d.BY_POLICY),
        events.stage(d.EXECUTING),
    ]


def _plan_row(job: _Job, draft: PlanDraft, *, by_policy: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"summary": draft.summary, "steps": [asdict(step) for step in draft.steps]}
    steps = [(step.title, step.detail) for step in draft.steps]
    accepted = {"status": repository.ACCEPTED, "accepted_by": d.BY_POLICY, "accepted_at": now()}
    return {
        "id": new_id(),
        "task_id": job.assignment.id,
        "kind": repository.PLAN,
        "version": job.version,
        "hash": d.content_hash(repository.PLAN, job.version, content),
        "content": content,
        "body": d.plan_markdown(job.assignment.title, job.version, draft.summary, steps),
        **(accepted if by_policy else {"status": repository.DRAFT}),
    }


async def _locked(session: AsyncSession, task_id: uuid.UUID, fence: d.Fence) -> TaskRow:
    """The task's row, locked, if this planning is still wanted (or went further by policy)."""
    task = await repository.lock_task(session, task_id)
    if task is None or not (
        repository.is_new(task, fence)
        or repository.is_latest(task, fence)
        or (repository.is_latest(task, replace(fence, transition=fence.transition + 1)) and task.stage == d.EXECUTING)
        or (repository.is_latest(task, replace(fence, transition=fence.transition + 2)) and task.stage == d.DONE)
    ):
        raise Superseded(f"Task {task_id} is not being planned by this run any more.")
    return task


def _made(task: TaskRow, plans: Sequence[DocumentRow]) -> c.PlanMade | None:
    if not plans:
        return None
    if plans[0].status == repository.ACCEPTED and task.stage in (d.EXECUTING, d.DONE):
        return c.PlanMade(plans[0].hash, accepted=True)
    return c.PlanMade(plans[0].hash) if plans[0].status == repository.DRAFT else None


async def _revise(host: AgentHost, job: _Job) -> Revision:
    assert job.reviewed is not None
    items = [FeedbackItem(str(item.id), item.body, item.step) for item in job.feedback]
    revision = await host.revise(plan_of(job.reviewed), items)
    missing = [item.id for item in items if item.id not in revision.answers]
    if missing:
        raise AgentRefused(
            f"The revision answers {len(items) - len(missing)} of {len(items)} feedback items.",
            remedy="Let revise() return an answer for the id of every item.",
        )
    return revision


def _phase(plans: Sequence[DocumentRow]) -> str:
    return d.PHASE_REVISING if any(plan.status != repository.DRAFT for plan in plans) else d.PHASE_PLANNING
