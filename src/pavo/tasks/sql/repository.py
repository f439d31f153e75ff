"""SQL of tasks, documents and feedback. Every change of a task's stage goes through a fence."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict, Unpack

from sqlalchemy import Row, Table, and_, case, func, or_, select, text, true, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from pavo.agents.contract import JSON
from pavo.kit.pagination import Cursor
from pavo.tasks.domain import ACTIVE, EXECUTING, PLANNING, Fence
from pavo.tasks.sql.models import DocumentRow, ExecutionRow, FeedbackRow, TaskRow

PLAN = "PLAN"
REPORT = "REPORT"
DRAFT = "DRAFT"
REVIEW = "REVIEW"
ACCEPTED = "ACCEPTED"
LOCKED = "LOCKED"
FINAL = "FINAL"

SUMMARY = 200
"""Characters of a prompt that lists show."""
ERROR_SUMMARY = 300
"""Characters of each text of a failure that lists show."""
PAGE = 500
"""Rows that the reconciler reads at once."""


# Writes go to the tables themselves: the rows in memory need not follow, and it costs half.
_TASKS: Table = TaskRow.__table__  # pyright: ignore[reportAssignmentType]
_DOCUMENTS: Table = DocumentRow.__table__  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with what lives beside its row: recorded progress and the newest plan that may be seen."""

    task: TaskRow
    step: int
    progress: int
    total: int | None
    plan: "PlanHead | None"
    summary: str = ""
    """The beginning of the prompt, in lists, which load neither prompts nor options."""
    plan_step: int | None = None
    """Of the plan's steps the one that is being worked on, where the agent says so."""
    retry_at: datetime | None = None
    """When its agent, which failed, is tried again; in the past where that waits for a worker."""
    waiting: str | None = None
    """What it waits for before an agent works on it."""
    code: str | None = None
    """What its last attempt ran; None in lists."""
    error: Mapping[str, JSON] | None = None
    """In lists: why it failed, of each text the beginning. Elsewhere the task's row has all."""
    usage: "TaskUsage | None" = None
    """What its calls of models took; None in lists."""


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """What a task's calls of models took."""

    calls: int
    tokens_in: int
    tokens_out: int
    cost: int
    """In nanos, of the calls whose price is known."""
    tokens_cached: int
    unpriced: int
    lost: int
    seconds: float
    tool_calls: int
    checkpoints: int
    working_seconds: float


@dataclass(frozen=True, slots=True)
class PlanHead:
    """Which plan is current."""

    document_id: uuid.UUID
    version: int
    hash: str
    status: str
    steps: int | None = None
    """How many it has; None in lists, which read no plans."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A version of a plan, or a report, before it is stored; the members are those of `DocumentRow`."""

    id: uuid.UUID
    task_id: uuid.UUID
    kind: str
    version: int
    status: str
    hash: str
    content: dict[str, JSON]
    body: str
    accepted_by: str | None = None

    def values(self) -> dict[str, Any]:
        """By column."""
        accepted_at = func.pavo_now() if self.accepted_by else None
        return {**{member.name: getattr(self, member.name) for member in fields(self)}, "accepted_at": accepted_at}


class StageDetails(TypedDict, total=False):
    """What may be written together with a stage; what is left out stays."""

    error: Mapping[str, JSON] | None
    receipt: Mapping[str, JSON] | None


class DocumentChange(TypedDict, total=False):
    """What changes on a document that is there."""

    status: Required[str]
    accepted_by: str
    accepted_by_id: uuid.UUID | None


def _beginning(member: str) -> Any:
    told = TaskRow.error[member].astext
    return case((func.length(told) > ERROR_SUMMARY, func.left(told, ERROR_SUMMARY - 1) + "…"), else_=told)


def _error_summary() -> Any:
    members = [part for name in ("type", "cause", "remedy") for part in (name, _beginning(name))]
    found = func.jsonb_build_object(*members, "step", TaskRow.error["step"], type_=JSONB)
    return case((TaskRow.error.is_not(None), found))


def _views() -> Any:
    newest_plan = (
        select(DocumentRow.id, DocumentRow.version, DocumentRow.hash, DocumentRow.status)
        .where(DocumentRow.task_id == TaskRow.id, DocumentRow.kind == PLAN, DocumentRow.status != DRAFT)
        .order_by(DocumentRow.version.desc())
        .limit(1)
        .lateral("plan")
    )
    ahead = and_(TaskRow.stage.in_((PLANNING, EXECUTING)), ExecutionRow.retry_epoch == ExecutionRow.epoch)
    retry_at = case((ahead, ExecutionRow.retry_at))
    return (
        select(
            TaskRow,
            ExecutionRow.step,
            ExecutionRow.progress,
            ExecutionRow.total,
            ExecutionRow.plan_step,
            ExecutionRow.waiting,
            retry_at.label("retry_at"),
            newest_plan.c.id.label("plan_id"),
            newest_plan.c.version,
            newest_plan.c.hash,
            newest_plan.c.status.label("plan_status"),
            func.left(TaskRow.prompt, SUMMARY).label("summary"),
            _error_summary().label("error"),
        )
        .options(*(defer(long, raiseload=True) for long in (TaskRow.prompt, TaskRow.agent_options, TaskRow.error)))
        .join(ExecutionRow, ExecutionRow.task_id == TaskRow.id)
        .outerjoin(newest_plan, true())
    )


LISTED: Any = _views()
"""The query of tasks as lists show them, without any condition. Built once: building one costs more than running it."""


def listed_view(row: Row[Any]) -> TaskView:
    """From a row of `LISTED`."""
    plan = PlanHead(row.plan_id, row.version, row.hash, row.plan_status) if row.plan_id else None
    beside = row.plan_step, row.retry_at, row.waiting
    return TaskView(row[0], row.step, row.progress, row.total, plan, row.summary, *beside, error=row.error)


async def row_or_tombstone(session: AsyncSession, task_id: uuid.UUID) -> TaskRow | None:
    """The task's row, also what remains of one that is deleted."""
    return await session.get(TaskRow, task_id)


async def owners(session: AsyncSession, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Whose tasks these are; deleted ones are left out."""
    query = select(TaskRow.id, TaskRow.organisation_id).where(TaskRow.id.in_(task_ids), TaskRow.deleted_at.is_(None))
    return {row.id: row.organisation_id for row in await session.execute(query)}


async def stages(session: AsyncSession, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """In which stages these tasks are; deleted ones are left out."""
    query = select(TaskRow.id, TaskRow.stage).where(TaskRow.id.in_(task_ids), TaskRow.deleted_at.is_(None))
    return {row.id: row.stage for row in await session.execute(query)}


async def settled(session: AsyncSession, age: timedelta, after: uuid.UUID | None) -> list[TaskRow]:
    """Tasks that say they run and were not written for this long: the next page of them by id."""
    query = (
        select(TaskRow)
        .where(TaskRow.stage.in_(ACTIVE), TaskRow.deleted_at.is_(None), TaskRow.updated_at < func.pavo_now() - age)
        .order_by(TaskRow.id)
        .limit(PAGE)
    )
    if after:
        query = query.where(TaskRow.id > after)
    return list((await session.scalars(query)).all())


async def lock_task(session: AsyncSession, task_id: uuid.UUID) -> TaskRow | None:
    """The task's row, locked: reviews, answers and transitions of one task happen one after the other."""
    query = select(TaskRow).where(TaskRow.id == task_id, TaskRow.deleted_at.is_(None)).with_for_update()
    return (await session.scalars(query)).one_or_none()


async def advance(
    session: AsyncSession, task: TaskRow, fence: Fence, *, stage: str, phase: str, **values: Unpack[StageDetails]
) -> None:
    """Write the task's new stage under the fence; the row is locked and `is_newer` was asked."""
    changes = {"stage": stage, "phase": phase, **fence.columns(), **values}
    await session.execute(update(_TASKS).where(_TASKS.c.id == task.id).values(updated_at=func.pavo_now(), **changes))


async def execution(session: AsyncSession, task_id: uuid.UUID) -> ExecutionRow:
    """The task's lease and checkpoint."""
    return (await session.scalars(select(ExecutionRow).where(ExecutionRow.task_id == task_id))).one()


# Documents


PAGE_BYTES = 1_000_000
"""After so many a page of documents or comments ends; one that is larger is a page of its own."""
_COMMENT_BYTES = func.octet_length(FeedbackRow.body) + func.coalesce(func.octet_length(FeedbackRow.answer), 0)
_SAID_BYTES = (
    select(func.least(func.coalesce(func.sum(_COMMENT_BYTES), 0), PAGE_BYTES))
    .where(FeedbackRow.document_id == DocumentRow.id)
    .correlate(DocumentRow)
    .scalar_subquery()
)
_DOCUMENT_BYTES = 2 * func.octet_length(DocumentRow.body) + func.coalesce(_SAID_BYTES, 0)
"""Its text is in its content once more, whose own length costs reading it. Of its comments it brings a page."""


async def plans(session: AsyncSession, task_id: uuid.UUID) -> list[DocumentRow]:
    """All versions of the plan, newest first, drafts included."""
    query = (
        select(DocumentRow)
        .where(DocumentRow.task_id == task_id, DocumentRow.kind == PLAN)
        .order_by(DocumentRow.version.desc())
    )
    return list((await session.scalars(query)).all())


async def documents(
    session: AsyncSession, task_id: uuid.UUID, *, limit: int, before: DocumentRow | None = None
) -> tuple[list[DocumentRow], bool]:
    """The newest that people may see of a task's documents, or those before one of them: one at least, then as many as
    the limits allow, oldest first; and whether there are older ones."""
    newest_first = (DocumentRow.created_at.desc(), DocumentRow.id.desc())
    query = select(DocumentRow.id).where(DocumentRow.task_id == task_id, DocumentRow.status != DRAFT)
    if before is not None:
        query = query.where(tuple_(DocumentRow.created_at, DocumentRow.id) < (before.created_at, before.id))
    sized = query.add_columns(
        func.row_number().over(order_by=newest_first).label("place"),
        func.sum(_DOCUMENT_BYTES).over(order_by=newest_first).label("bytes_so_far"),
        func.count().over().label("found"),
    ).subquery()
    fits = and_(sized.c.place <= limit, sized.c.bytes_so_far <= PAGE_BYTES)
    page = select(DocumentRow, sized.c.found).join(sized, sized.c.id == DocumentRow.id)
    rows = (await session.execute(page.where(or_(sized.c.place == 1, fits)).order_by(sized.c.place.desc()))).all()
    return [row[0] for row in rows], bool(rows) and rows[0][1] > len(rows)


async def document(session: AsyncSession, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentRow | None:
    """One document, unless it is unknown or a draft."""
    query = select(DocumentRow).where(
        DocumentRow.id == document_id, DocumentRow.task_id == task_id, DocumentRow.status != DRAFT
    )
    return (await session.scalars(query)).one_or_none()


async def plan_by_hash(session: AsyncSession, task_id: uuid.UUID, plan_hash: str) -> DocumentRow | None:
    """The version of the plan with this hash."""
    query = select(DocumentRow).where(
        DocumentRow.task_id == task_id, DocumentRow.kind == PLAN, DocumentRow.hash == plan_hash
    )
    return (await session.scalars(query)).one_or_none()


async def add_document(session: AsyncSession, document: NewDocument) -> None:
    """Store a document unless this version is there already: the first of two attempts wins."""
    await session.execute(insert(_DOCUMENTS).values(**document.values()).on_conflict_do_nothing())


async def set_document(session: AsyncSession, document_id: uuid.UUID, **values: Unpack[DocumentChange]) -> None:
    """Change a document's status or acceptance."""
    accepted = {"accepted_at": func.pavo_now()} if "accepted_by" in values else {}
    await session.execute(update(_DOCUMENTS).where(_DOCUMENTS.c.id == document_id).values(**values, **accepted))


# Feedback


async def feedback(session: AsyncSession, document_id: uuid.UUID) -> list[FeedbackRow]:
    """Everything said about a document, oldest first."""
    query = (
        select(FeedbackRow)
        .where(FeedbackRow.document_id == document_id)
        .order_by(FeedbackRow.created_at, FeedbackRow.id)
    )
    return list((await session.scalars(query)).all())


async def feedback_page(
    session: AsyncSession, document_id: uuid.UUID, *, limit: int, after: Cursor | None = None
) -> tuple[list[FeedbackRow], int, int]:
    """What was said about a document, or what follows a page: one at least, then as many as fit a page,
    oldest first; how many follow those, and how many of these no revision has answered."""
    oldest_first = (FeedbackRow.created_at, FeedbackRow.id)
    query = select(FeedbackRow.id, FeedbackRow.answer.is_(None).label("open")).where(
        FeedbackRow.document_id == document_id
    )
    if after is not None:
        query = query.where(tuple_(*oldest_first) > (after.created_at, after.id))
    sized = query.add_columns(
        func.row_number().over(order_by=oldest_first).label("place"),
        func.sum(_COMMENT_BYTES).over(order_by=oldest_first).label("bytes_so_far"),
        func.count().over().label("found"),
        func.count().filter(FeedbackRow.answer.is_(None)).over().label("open_found"),
    ).subquery()
    fits = and_(sized.c.place <= limit, sized.c.bytes_so_far <= PAGE_BYTES)
    counts = sized.c.found, sized.c.open_found, sized.c.open
    page = select(FeedbackRow, *counts).join(sized, sized.c.id == FeedbackRow.id)
    rows = (await session.execute(page.where(or_(sized.c.place == 1, fits)).order_by(sized.c.place))).all()
    if not rows:
        return [], 0, 0
    return [row[0] for row in rows], rows[0][1] - len(rows), rows[0][2] - sum(row[3] for row in rows)


async def count_feedback(session: AsyncSession, document_id: uuid.UUID) -> int:
    """How many comments a document has."""
    return (await session.scalars(select(func.count()).where(FeedbackRow.document_id == document_id))).one()


async def edit_feedback(session: AsyncSession, row: FeedbackRow, body: str) -> None:
    """Change what a comment says."""
    await session.execute(
        update(FeedbackRow).where(FeedbackRow.id == row.id).values(body=body, updated_at=func.pavo_now())
    )
    await session.refresh(row)


async def count_unaddressed(session: AsyncSession, document_id: uuid.UUID) -> int:
    """How many comments on a document no revision has answered."""
    query = select(func.count()).where(FeedbackRow.document_id == document_id, FeedbackRow.answer.is_(None))
    return (await session.scalars(query)).one()


_OPEN_AND_SEEN = text("""
SELECT (SELECT count(*) FROM feedback WHERE document_id = :document_id AND answer IS NULL),
    coalesce((SELECT last_seq FROM timelines WHERE id = :task_id), 0)
""")


async def open_and_seen(session: AsyncSession, task_id: uuid.UUID, document_id: uuid.UUID) -> tuple[int, int]:
    """How many comments on a document no revision has answered, and the number of the task's newest event."""
    row = (await session.execute(_OPEN_AND_SEEN, {"task_id": task_id, "document_id": document_id})).one()
    return row[0], row[1]


async def answer_feedback(session: AsyncSession, feedback_id: uuid.UUID, answer: str, document_id: uuid.UUID) -> None:
    """Note what a revision did about a comment."""
    await session.execute(
        update(FeedbackRow).where(FeedbackRow.id == feedback_id).values(answer=answer, answered_in=document_id)
    )
