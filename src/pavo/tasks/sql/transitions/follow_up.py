"""A task that is done is followed up: what is said is kept with DONE, and the next run takes it.

Two transactions, so that no process has to live between them: the message, which opens the timeline again, and the
beginning of a run of the next generation. One way only: both are rare, and hold the lock of the task's row.
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Exists, Table, exists, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.runs.fence import Fence
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.models import DocumentRow, ExecutionRow, FollowUpRow, TaskRow
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

PAGE: Final = 100
"""Tasks that the second line looks at in one round."""

_DOCUMENTS: Table = DocumentRow.__table__  # pyright: ignore[reportAssignmentType]
_EXECUTIONS: Table = ExecutionRow.__table__  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True, slots=True)
class Followed:
    """What a generation follows."""

    plan: DocumentRow
    report: DocumentRow
    first_seq: int
    """Of the message that began it."""


async def say(session: AsyncSession, task: TaskRow, message: NewEvent) -> list[Event]:
    """Record what was said to a task that is DONE and whose row is locked; what was said before and not begun yet is
    followed up together with it."""
    await timeline.reopen(session, task.id)
    recorded = await timeline.append(session, task.id, [message])
    if await pending(session, task.id) is None:
        # Exactly one plan is accepted where a task is done, and its report is the newest.
        plan = next(each for each in await repository.plans(session, task.id) if each.status == repository.ACCEPTED)
        mine = (DocumentRow.task_id == task.id, DocumentRow.kind == repository.REPORT)
        newest = select(DocumentRow.id).where(*mine).order_by(DocumentRow.version.desc()).limit(1)
        report_id = (await session.scalars(newest)).one()
        seq = recorded[0].seq
        session.add(FollowUpRow(task_id=task.id, first_seq=seq, plan_id=plan.id, report_id=report_id))
        await session.flush()
    return recorded


async def begin(session: AsyncSession, task: TaskRow, fence: Fence) -> Sequence[Event] | None:
    """Have a run of a later generation take what was said; the events to publish, None where nothing waits for it.

    An older run that wakes up has a lower generation: it takes nothing.
    """
    if task.stage != d.DONE or fence.generation <= task.generation:
        return None
    found = await pending(session, task.id)
    if found is None:
        return None
    found.begun = fence.generation
    await session.flush()
    await repository.advance(session, task, fence, stage=d.PLANNING, phase=d.PHASE_PLANNING, error=None, receipt=None)
    mine = _DOCUMENTS.c.task_id == task.id, _DOCUMENTS.c.kind == repository.PLAN
    await session.execute(update(_DOCUMENTS).where(*mine).values(status=repository.LOCKED))
    await lease.raise_epoch(session, task.id, forget_deaths=True)
    # The checkpoint is the state of work on the plan of before.
    anew = {"step": 0, "progress": 0, "total": None, "plan_step": None, "checkpoint": null(), "failure": null()}
    await session.execute(update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task.id).values(**anew))
    return await timeline.append(session, task.id, [events.stage(d.PLANNING)])


async def stop(session: AsyncSession, task: TaskRow) -> tuple[d.Receipt, Sequence[Event]] | None:
    """Take what was said and stop, in the place of the run that would take it; None where nothing waits for one.

    A run of the generation that is taken here, should one be on its way, finds a later one and ends.
    """
    taken = await begin(session, task, Fence(task.run_id or "", task.generation + 1, 1))
    if taken is None:
        return None
    receipt = d.Receipt(d.PLANNING, 0, False, d.resume_outlook(d.PLANNING, 0, step_cut=False))
    stopped = Fence(task.run_id or "", task.generation + 2, 1)
    await repository.advance(session, task, stopped, stage=d.STOPPED, phase=d.PHASE_PLANNING, receipt=asdict(receipt))
    told = await timeline.append(session, task.id, [events.stopped(receipt), events.stage(d.STOPPED)])
    return receipt, [*taken, *told]


async def pending(session: AsyncSession, task_id: uuid.UUID) -> FollowUpRow | None:
    """What was said to a task that is DONE, and that no run has taken yet."""
    query = select(FollowUpRow).where(FollowUpRow.task_id == task_id, FollowUpRow.begun.is_(None))
    return (await session.scalars(query)).one_or_none()


async def rests(session: AsyncSession, task_id: uuid.UUID) -> bool:
    """Whether the task is DONE and nothing waits for a run."""
    waits = exists().where(FollowUpRow.task_id == TaskRow.id, FollowUpRow.begun.is_(None))
    query = select(TaskRow.id).where(TaskRow.id == task_id, TaskRow.stage == d.DONE, ~waits)
    return (await session.scalars(query)).one_or_none() is not None


async def followed(session: AsyncSession, task_id: uuid.UUID) -> Followed | None:
    """What the task's newest generation of work follows; None: it is the first."""
    query = select(FollowUpRow).where(FollowUpRow.task_id == task_id, FollowUpRow.begun.is_not(None))
    row = (await session.scalars(query.order_by(FollowUpRow.first_seq.desc()).limit(1))).one_or_none()
    if row is None:
        return None
    plan, report = await session.get(DocumentRow, row.plan_id), await session.get(DocumentRow, row.report_id)
    assert plan is not None and report is not None  # documents go with the task alone
    return Followed(plan, report, row.first_seq)


async def first_report(session: AsyncSession, task_id: uuid.UUID) -> str | None:
    """The report that a task had before it was followed up for the first time; None: it never was."""
    query = select(DocumentRow.body).join(FollowUpRow, FollowUpRow.report_id == DocumentRow.id)
    query = query.where(FollowUpRow.task_id == task_id).order_by(FollowUpRow.first_seq).limit(1)
    return (await session.scalars(query)).one_or_none()


def is_followed_up() -> Exists:
    """In a query of tasks: whether this one ever was."""
    return exists().where(FollowUpRow.task_id == TaskRow.id)


async def left_waiting(session: AsyncSession, age: timedelta) -> Sequence[uuid.UUID]:
    """Tasks to which something was said so long ago, and no run has taken it."""
    query = select(FollowUpRow.task_id).join(TaskRow, TaskRow.id == FollowUpRow.task_id)
    waits = (FollowUpRow.begun.is_(None), TaskRow.stage == d.DONE, TaskRow.deleted_at.is_(None))
    query = query.where(*waits, FollowUpRow.created_at < func.pavo_now() - age)
    return (await session.scalars(query.order_by(FollowUpRow.created_at).limit(PAGE))).all()
