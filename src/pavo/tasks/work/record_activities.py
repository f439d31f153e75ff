"""The short, fenced transactions with which the workflow shows people what it decided.

Each can be repeated, and each that comes too late (an older copy of the worker wakes up) changes nothing.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Final, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from pavo.accounts.people import people_by_id
from pavo.errors import Superseded
from pavo.gates import repository as gates
from pavo.kit.sql import Database
from pavo.runs.fence import Fence
from pavo.runs.fenced_row import is_latest, is_newer
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import delegations, lease, repository
from pavo.tasks.sql.models import DocumentRow, TaskRow
from pavo.tasks.sql.transitions import follow_up
from pavo.tasks.wire.event_data import EventFailure
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.publish import Publisher

_UNTOLD: Final = {
    "cause": "The agent failed; a worker of an earlier version did not keep what it said.",
    "remedy": f"Look into the worker's log, {d.MEND_INPUT}",
}
"""Of a failure without a record."""


T = TypeVar("T")
Write: TypeAlias = Callable[[AsyncSession, TaskRow], Awaitable[tuple[T, Sequence[NewEvent]]]]
"""Changes rows in the caller's transaction; what to answer, and the events to append."""


class TransitionRecorder(c.RecordActivities):
    """Writes what people read. One transaction a call."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    @activity.defn(name="begin_run")
    async def begin_run(self, request: c.BeginRun) -> c.Standing:
        """Show the stage that a resumed run returns to, and answer where it goes on; one that was followed up begins
        anew."""
        task_id = uuid.UUID(request.task_id)
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            task = await repository.lock_task(session, task_id)
            if task is None or task.generation > request.fence.generation:
                return c.Standing(d.PHASE_OVER, None, 0)
            if task.stage == d.DONE:
                taken = await follow_up.begin(session, task, request.fence)
                if taken is None:
                    return c.Standing(d.PHASE_OVER, None, 0)
                await session.refresh(task)
                recorded.extend(taken)
            execution = await repository.execution(session, task_id)
            plans = [p for p in await repository.plans(session, task_id) if p.status != repository.DRAFT]
            if is_newer(request.fence, task):
                stage = d.STAGE_OF_PHASE[task.phase]
                await repository.advance(
                    session,
                    task,
                    request.fence,
                    stage=stage,
                    phase=task.phase,
                    error=None,
                    receipt=None,
                )
                await lease.raise_epoch(session, task_id, forget_deaths=True)
                recorded = await timeline.append(session, task_id, [events.stage(stage, execution.progress)])
        self._publisher.publish(recorded)
        # What is planned from scratch has no plan yet, though superseded ones may be in the record.
        current = plans[0].hash if plans and task.phase != d.PHASE_PLANNING else None
        return c.Standing(task.phase, current, execution.step)

    @activity.defn(name="open_review")
    async def open_review(self, request: c.OpenReview) -> None:
        """Publish the draft: status REVIEW, event `plan`, stage WAIT_RFC, in one transaction."""

        async def write(session: AsyncSession, task: TaskRow) -> tuple[None, list[NewEvent]]:
            plan = await repository.plan_by_hash(session, task.id, request.plan_hash)
            if plan is None:
                raise Superseded(f"The draft {request.plan_hash} is gone.")
            await repository.set_document(session, plan.id, status=repository.REVIEW)
            await repository.advance(session, task, request.fence, stage=d.WAIT_RFC, phase=d.PHASE_REVIEW)
            return None, [events.plan(plan.id, plan.version, plan.hash), events.stage(d.WAIT_RFC)]

        await self._write(request.task_id, request.fence, write)

    @activity.defn(name="record_acceptance")
    async def record_acceptance(self, request: c.RecordAnswer) -> c.Answer:
        """Accept the plan if its hash is current and all feedback is addressed."""
        return await self._answer(request, revise=False)

    @activity.defn(name="record_review")
    async def record_review(self, request: c.RecordAnswer) -> c.Answer:
        """End the review: lock the plan for revision if there is feedback, else accept it."""
        return await self._answer(request, revise=True)

    async def _answer(self, request: c.RecordAnswer, *, revise: bool) -> c.Answer:
        async def write(session: AsyncSession, task: TaskRow) -> tuple[c.Answer, list[NewEvent]]:
            plans = await repository.plans(session, task.id)
            current = plans[0]
            open_feedback = await repository.count_unaddressed(session, current.id)
            counted = 0 if request.override else open_feedback
            answer = _judge(current, request.plan_hash, counted, revise=revise)
            if answer.outcome == c.ACCEPTED:
                return answer, await _accept(session, task, request, current, overridden=open_feedback)
            if answer.outcome == c.REVISING:
                await repository.set_document(session, current.id, status=repository.LOCKED)
                await repository.advance(session, task, request.fence, stage=d.PLANNING, phase=d.PHASE_REVISING)
                return answer, [events.stage(d.PLANNING)]
            return answer, []

        answer, task = await self._write(request.task_id, request.fence, write)
        if answer is not None:
            return answer
        if task is not None and is_latest(request.fence, task):
            outcome = {d.EXECUTING: c.ACCEPTED, d.PLANNING: c.REVISING}.get(task.stage)
            if outcome is not None:
                return c.Answer(outcome, current_hash=request.plan_hash)
        return c.Answer(c.REFUSED, c.REFUSED_WRONG_STAGE, "The task is not there any more.")

    @activity.defn(name="ask_to_move")
    async def ask_to_move(self, request: c.AskToMove) -> None:
        """Have an attempt end at its next step boundary."""
        async with self._database.transaction() as session:
            await lease.ask_to_move(session, uuid.UUID(request.task_id), request.done)

    @activity.defn(name="record_gate")
    async def record_gate(self, request: c.RecordGate) -> bool:
        """Close a gate with an answer; whether it is closed by that one.

        No fence: the answer is bound to the gate, an answered gate takes no other, and a stop has paused it.
        """
        task_id, gate_id, answer_id = map(uuid.UUID, (request.task_id, request.gate_id, request.answer_id))
        recorded: Sequence[Event] = ()
        async with self._database.transaction() as session:
            if await repository.lock_task(session, task_id) is None:
                return False
            gate, closed = await gates.take(session, gate_id, answer_id)
            if gate is not None and closed:
                await lease.waits_no_more(session, task_id, [gate.key])
                recorded = await timeline.append(session, task_id, [events.gate_closed(gate)])
            taken = await gates.is_taken(session, gate_id, answer_id)
        self._publisher.publish(recorded)
        return taken

    @activity.defn(name="expire_gates")
    async def expire_gates(self, request: c.ExpireGates) -> c.GatesExpired:
        """Close the task's gates whose time is over."""
        task_id = uuid.UUID(request.task_id)
        recorded: Sequence[Event] = ()
        async with self._database.transaction() as session:
            if await repository.lock_task(session, task_id) is None:
                return c.GatesExpired([])
            if closed := await gates.expire(session, task_id):
                await lease.waits_no_more(session, task_id, [gate.key for gate in closed])
            recorded = await timeline.append(session, task_id, [events.gate_closed(gate) for gate in closed])
            following = await gates.next_expiry(session, task_id)
            over = {*(gate.id for gate in closed), *await gates.not_open(session, map(uuid.UUID, request.gates))}
        self._publisher.publish(recorded)
        return c.GatesExpired(sorted(map(str, over)), following.timestamp() if following else None)

    @activity.defn(name="record_stop")
    async def record_stop(self, request: c.RecordStop) -> d.Receipt:
        """Show STOPPED, raise the epoch, and write the receipt."""

        async def write(session: AsyncSession, task: TaskRow) -> tuple[d.Receipt, list[NewEvent]]:
            if task.stage == d.DONE:  # its last attempt recorded that, and died before it could say so
                step = (await repository.execution(session, task.id)).step
                return d.Receipt(d.DONE, step, False, d.resume_outlook(d.DONE, step, step_cut=False)), []
            step = await lease.raise_epoch(session, task.id)
            await gates.pause(session, task.id)
            await delegations.pause(session, task.id)
            queued = task.stage == d.INIT  # a run that records its stop has begun, and shown nothing yet
            cut = request.step_cut and not queued
            outlook = d.resume_outlook(task.stage, step, step_cut=cut, queued=queued)
            receipt = d.Receipt(task.stage, step, cut, outlook)
            await repository.advance(
                session, task, request.fence, stage=d.STOPPED, phase=task.phase, receipt=asdict(receipt)
            )
            return receipt, [events.stopped(receipt), events.stage(d.STOPPED)]

        receipt, task = await self._write(request.task_id, request.fence, write)
        if receipt is not None:
            return receipt
        if task is not None and task.receipt:
            return d.Receipt(**task.receipt)
        return d.Receipt(d.STOPPED, 0, False, "The task is deleted.")

    @activity.defn(name="record_failure")
    async def record_failure(self, request: c.RecordFailure) -> None:
        """Show FAILED, unless its last attempt recorded DONE and died before it could say so."""

        async def write(session: AsyncSession, task: TaskRow) -> tuple[None, list[NewEvent]]:
            if task.stage == d.DONE:
                return None, []
            told = (await repository.execution(session, task.id)).failure or {**_UNTOLD, "type": request.failure.type}
            step = request.steps + 1 if task.stage == d.EXECUTING else None
            error = EventFailure(type=told["type"], cause=told["cause"], remedy=told["remedy"], step=step)
            await lease.raise_epoch(session, task.id)
            await gates.pause(session, task.id)
            await delegations.pause(session, task.id)
            await repository.advance(session, task, request.fence, stage=d.FAILED, phase=task.phase, error={**error})
            return None, [events.failed(error), events.stage(d.FAILED)]

        await self._write(request.task_id, request.fence, write)

    async def _write(self, task_id_text: str, fence: Fence, write: Write[T]) -> tuple[T | None, TaskRow | None]:
        """Lock the row, and unless the fence has passed write and append.

        What `write` answered, None if it was not called; and the row before, None if the task is unknown or deleted.
        """
        task_id = uuid.UUID(task_id_text)
        recorded: Sequence[Event] = ()
        answer: T | None = None
        async with self._database.transaction() as session:
            task = await repository.lock_task(session, task_id)
            if task is not None and is_newer(fence, task):
                answer, new = await write(session, task)
                recorded = await timeline.append(session, task_id, new)
        self._publisher.publish(recorded)
        return answer, task


def _judge(current: DocumentRow, plan_hash: str, open_feedback: int, *, revise: bool) -> c.Answer:
    if current.hash != plan_hash:
        detail = d.superseded(current.version)
        return c.Answer(c.REFUSED, c.REFUSED_WRONG_HASH, detail, current.hash)
    if current.status != repository.REVIEW:
        return c.Answer(c.REFUSED, c.REFUSED_WRONG_STAGE, "The plan is not under review.", current.hash)
    if open_feedback == 0:
        return c.Answer(c.ACCEPTED, current_hash=current.hash)
    if revise:
        return c.Answer(c.REVISING, current_hash=current.hash)
    detail = d.unanswered(open_feedback)
    return c.Answer(c.REFUSED, c.REFUSED_FEEDBACK, detail, current.hash)


async def _accept(
    session: AsyncSession, task: TaskRow, request: c.RecordAnswer, plan: DocumentRow, *, overridden: int
) -> list[NewEvent]:
    user_id = uuid.UUID(request.user_id) if request.user_id else None
    person = (await people_by_id(session, [user_id])).get(user_id) if user_id else None
    by = person.email if person else request.by
    await repository.set_document(session, plan.id, status=repository.ACCEPTED, accepted_by=by, accepted_by_id=user_id)
    await repository.advance(session, task, request.fence, stage=d.EXECUTING, phase=d.PHASE_EXECUTING)
    accepted = events.accepted(plan.id, plan.hash, by, user_id=user_id, overridden=overridden)
    return [accepted, events.stage(d.EXECUTING)]
