"""Making a plan: gather context, let the agent plan or revise, store the draft."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

from pavo.agents.contract import FeedbackItem, Hit, PlanDraft, Revision
from pavo.agents.event_types import STAGE
from pavo.agents.hosts.agent_host import AgentHost
from pavo.errors import AgentDied, AgentError, AgentRefused
from pavo.kit.ids import new_id
from pavo.kit.sql import time_of
from pavo.observe.spans import span
from pavo.runs.fence import Fence
from pavo.runs.fenced_row import is_latest
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.assignment import plan_of
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.transitions.begin_plan import ToPlan, begin_plan, locked_for_planning
from pavo.tasks.sql.transitions.store_plan import StoredPlan, store_plan
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.failures import ExplainedFailure, failure_of, quarantine, quarantine_of
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption, until_interrupted
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

_PLANNING: Final = "Planning"


class Planner:
    """Makes plans; any number at once on one event loop."""

    def __init__(self, hosting: Hosting, writer: TaskWriter, attempts: Attempts) -> None:
        self._hosting = hosting
        self._writer = writer
        self._database = hosting.database
        self._publisher = hosting.publisher
        self._attempts = attempts

    async def plan(self, request: c.MakePlan, interruption: Interruption) -> StoredPlan | Cut:
        """Plan or revise; Cut when a stop or shutdown ended it.

        Raises:
            Superseded: a newer run has the task.
        """
        task_id = uuid.UUID(request.task_id)
        self._attempts.begin(task_id, interruption)
        cancelled = asyncio.Event()
        try:
            begun, recorded = await begin_plan(self._writer, task_id, request.fence, auto_accept=request.auto_accept)
            self._publisher.publish(recorded)
            if isinstance(begun, c.PlanMade):
                return StoredPlan(begun)
            if begun.deaths >= d.MAX_DEATHS:
                return await self._quarantined(begun, request)
            try:
                grace = self._hosting.grace(begun.assignment.agent_type)
            except AgentRefused as refusal:
                return await self._failed(begun, request, refusal)
            made = self._make(begun, request, interruption, cancelled)
            return await until_interrupted(made, interruption, grace=grace, on_interrupt=cancelled)
        finally:
            self._attempts.end(task_id, interruption)

    async def _make(
        self, to_plan: ToPlan, request: c.MakePlan, interruption: Interruption, cancelled: asyncio.Event
    ) -> StoredPlan | Cut:
        gathered = await self._gather(to_plan, request)
        host: AgentHost | None = None
        try:
            host = await self._hosting.open(
                to_plan.assignment,
                cancelled=cancelled,
                attempt=to_plan.epoch,
                version=to_plan.version,
                context=gathered,
            )
            if to_plan.reviewed is None:
                with span("plan", {"pavo.task_id": request.task_id}):
                    draft = await host.plan()
                if interruption.told and request.auto_accept:
                    return Cut()  # what it made when it was told to end may be half a plan, and nobody would look at it
                return await self._store(to_plan, request, draft, {})
            with span("revise", {"pavo.task_id": request.task_id}):
                revision = await _revise(host, to_plan)
            return await self._store(to_plan, request, revision.plan, revision.answers)
        except (AgentError, AgentDied) as error:
            if interruption.told:
                return Cut()  # its way to end when it is told to
            return await self._failed(to_plan, request, error)
        finally:
            if host is not None:
                self._hosting.deltas.end(to_plan.assignment.id, to_plan.epoch)
                await host.close(force=cancelled.is_set())

    async def _gather(self, to_plan: ToPlan, request: c.MakePlan) -> Sequence[Hit]:
        assignment = to_plan.assignment
        if to_plan.reviewed is not None or not self._hosting.wants_context(assignment.agent_type):
            return ()
        hits = await self._hosting.gather(assignment)
        await self._note(assignment.id, request.fence, events.context([hit.title for hit in hits]))
        return hits

    async def _note(
        self,
        task_id: uuid.UUID,
        fence: Fence,
        event: NewEvent | None,
        failure: ExplainedFailure | None = None,
        deaths: int | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        """Tell viewers, unless an attempt before did, or was quicker and has finished planning."""
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            task = await locked_for_planning(session, task_id, fence)
            if is_latest(fence, task):
                if failure is not None:
                    await lease.note_failure(session, task_id, failure.told(), retry_at)
                if deaths is not None:
                    await lease.note_deaths(session, task_id, deaths)
                if event is not None:
                    recorded = await timeline.append_once(session, task_id, event, since=STAGE)
        self._publisher.publish(recorded)

    async def _failed(self, to_plan: ToPlan, request: c.MakePlan, error: AgentError | AgentDied) -> StoredPlan:
        failure = failure_of(error)
        failures = request.failures + 1
        retry: NewEvent | None = None
        again: datetime | None = None
        if failures >= d.MAX_STEP_ATTEMPTS or isinstance(error, AgentRefused):
            failure = replace(failure, retryable=False)
        else:
            async with self._database.reading() as session:
                again = d.retry_at(await time_of(session), failures)
            retry = events.retry(0, failure.cause, failures, again)
        deaths = None
        if isinstance(error, AgentDied):
            deaths = to_plan.deaths + 1
            if deaths >= d.MAX_DEATHS:
                failure, retry, again = quarantine(_PLANNING, deaths, error.detail, error.remedy), None, None
        await self._note(to_plan.assignment.id, request.fence, retry, failure, deaths, again)
        return StoredPlan(c.PlanMade(failure=failure.decided()))

    async def _quarantined(self, to_plan: ToPlan, request: c.MakePlan) -> StoredPlan:
        """The agent has ended too many processes while it planned."""
        task_id = to_plan.assignment.id
        async with self._database.reading() as session:
            told = (await repository.execution(session, task_id)).failure
        failure = quarantine_of(_PLANNING, to_plan.deaths, told)
        await self._note(task_id, request.fence, None, failure)
        return StoredPlan(c.PlanMade(failure=failure.decided()))

    async def _store(
        self, to_plan: ToPlan, request: c.MakePlan, draft: PlanDraft, answers: Mapping[str, str]
    ) -> StoredPlan:
        """Store the draft and the answers to the feedback; a first plan with auto_accept is accepted with that."""
        by_policy = request.auto_accept and to_plan.reviewed is None
        plan = _document(to_plan, draft, by_policy=by_policy)
        planned, recorded = await store_plan(self._writer, to_plan, request.fence, plan, answers)
        self._publisher.publish(recorded)
        return planned


def _document(to_plan: ToPlan, draft: PlanDraft, *, by_policy: bool) -> NewDocument:
    version, assignment = to_plan.version, to_plan.assignment
    content = {"summary": draft.summary, "steps": [asdict(step) for step in draft.steps]}
    steps = [(step.title, step.detail) for step in draft.steps]
    return NewDocument(
        id=new_id(),
        task_id=assignment.id,
        kind=repository.PLAN,
        version=version,
        status=repository.ACCEPTED if by_policy else repository.DRAFT,
        hash=d.content_hash(repository.PLAN, version, content),
        content=content,
        body=d.plan_markdown(assignment.title, version, draft.summary, steps),
        accepted_by=d.BY_POLICY if by_policy else None,
    )


async def _revise(host: AgentHost, to_plan: ToPlan) -> Revision:
    assert to_plan.reviewed is not None
    items = [FeedbackItem(str(item.id), item.body, item.step) for item in to_plan.feedback]
    revision = await host.revise(plan_of(to_plan.reviewed), items)
    missing = [item.id for item in items if item.id not in revision.answers]
    if missing:
        raise AgentRefused(
            f"The revision answers {len(items) - len(missing)} of {len(items)} feedback items.",
            remedy="Let revise() return an answer for the id of every item.",
        )
    return revision
