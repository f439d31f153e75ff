"""The order of an organisation's queue, and how jobs come into it.

Whoever changes the order holds the queue's row, as claims do; a job's row is locked after it, never before.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.sql.models import JobQueueRow, JobRow
from pavo.kit.ids import new_id
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event

_QUEUED: Final = (JobRow.stage == d.QUEUED, JobRow.deleted_at.is_(None))
STEP: Final = 1e-3
"""Seconds of waiting between two ranks at least, once there was no room between them."""
# Each rank is raised as little as makes it so much more than the one before it: the order stays.
_SPREAD: Final = text("""
UPDATE jobs j SET rank = s.rank FROM (
    SELECT id, max(rank - n * :step) OVER (ORDER BY rank, id) + n * :step AS rank
    FROM (
        SELECT id, rank, row_number() OVER (ORDER BY rank, id) AS n FROM jobs
        WHERE organisation_id = :organisation AND stage = 'QUEUED' AND kind = :kind AND deleted_at IS NULL
    ) numbered
) s WHERE j.id = s.id AND j.rank <> s.rank
""")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be queued; what it says was checked before."""

    organisation_id: uuid.UUID
    repository_id: uuid.UUID
    title: str
    prompt: str
    base_branch: str
    program: str
    created_by: uuid.UUID | None = None
    priority: int = d.DEFAULT_PRIORITY
    labels: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    review_plan: bool = False
    draft: bool = False
    max_attempts: int = d.DEFAULT_MAX_ATTEMPTS
    id: uuid.UUID = field(default_factory=new_id)


async def enqueue(session: AsyncSession, job: NewJob, by: str | None = None) -> list[Event]:
    """Put a new job into its organisation's queue, in the caller's transaction, and begin its timeline.

    Args:
        by: address of who did.

    Returns:
        What is to be published after commit. Then the queue's monitor is told (`queue.commands`).
    """
    await ensure_queue(session, job.organisation_id)
    values = {
        "id": job.id,
        "organisation_id": job.organisation_id,
        "repository_id": job.repository_id,
        "created_by": job.created_by,
        "title": job.title,
        "prompt": job.prompt,
        "base_branch": job.base_branch,
        "priority": job.priority,
        "rank": func.extract("epoch", func.pavo_now()) - job.priority * d.AGING_SECONDS,
        "labels": list(job.labels),
        "program": job.program,
        "options": dict(job.options),
        "review_plan": job.review_plan,
        "draft": job.draft,
        "max_attempts": job.max_attempts,
        "branch": d.branch_of(job.id),
    }
    await session.execute(insert(JobRow).values(values))
    return await timeline.create(session, job.id, events.queued(d.BACKLOG, job.priority, by))


async def ensure_queue(session: AsyncSession, organisation_id: uuid.UUID) -> None:
    """Have the organisation's queue exist; one that does is not touched."""
    row = upsert(JobQueueRow).values(organisation_id=organisation_id)
    await session.execute(row.on_conflict_do_nothing())


@dataclass(frozen=True, slots=True)
class Settled:
    """Whether a queue gives jobs, and how many at once."""

    paused_at: datetime | None
    at_once: int


@dataclass(frozen=True, slots=True)
class MovedTo:
    """Where a job is after it was moved."""

    position: int
    """From 1."""
    priority: int
    events: Sequence[Event] = ()
    """To be published after commit."""


async def settled(session: AsyncSession, organisation_id: uuid.UUID) -> Settled:
    """How the queue of an organisation stands; one that was never used is not paused."""
    row = (await session.scalars(select(JobQueueRow).where(JobQueueRow.organisation_id == organisation_id))).first()
    return Settled(None, 1) if row is None else Settled(row.paused_at, row.at_once)


async def pause(session: AsyncSession, organisation_id: uuid.UUID, by: uuid.UUID | None) -> bool:
    """Give no job any more; those in progress go on. Whether that is new."""
    await ensure_queue(session, organisation_id)
    mine = (JobQueueRow.organisation_id == organisation_id, JobQueueRow.paused_at.is_(None))
    changed = update(JobQueueRow).where(*mine).values(paused_at=func.pavo_now(), paused_by=by)
    return (await session.scalars(changed.returning(JobQueueRow.organisation_id))).first() is not None


async def resume(session: AsyncSession, organisation_id: uuid.UUID) -> bool:
    """Give jobs again. Whether that is new."""
    mine = (JobQueueRow.organisation_id == organisation_id, JobQueueRow.paused_at.is_not(None))
    changed = update(JobQueueRow).where(*mine).values(paused_at=None, paused_by=None)
    return (await session.scalars(changed.returning(JobQueueRow.organisation_id))).first() is not None


async def limit(session: AsyncSession, organisation_id: uuid.UUID, at_once: int) -> None:
    """So many jobs may be in progress at once; those that are go on."""
    await ensure_queue(session, organisation_id)
    mine = JobQueueRow.organisation_id == organisation_id
    await session.execute(update(JobQueueRow).where(mine).values(at_once=at_once))


async def stage_of(session: AsyncSession, organisation_id: uuid.UUID, job_id: uuid.UUID) -> str | None:
    """The stage of an organisation's job; None: it has no such job."""
    mine = (JobRow.id == job_id, JobRow.organisation_id == organisation_id, JobRow.deleted_at.is_(None))
    return (await session.scalars(select(JobRow.stage).where(*mine))).one_or_none()


async def lock_queue(session: AsyncSession, organisation_id: uuid.UUID) -> None:
    """Hold the order: until the transaction ends nothing is claimed or moved. Before any job's row is locked."""
    await ensure_queue(session, organisation_id)
    mine = JobQueueRow.organisation_id == organisation_id
    await session.execute(select(JobQueueRow.organisation_id).where(mine).with_for_update())


async def lock_queued(session: AsyncSession, job_id: uuid.UUID) -> JobRow | None:
    """A job whose queue is locked; None where it does not wait in it any more."""
    query = select(JobRow).where(JobRow.id == job_id, JobRow.stage == d.QUEUED, JobRow.deleted_at.is_(None))
    return (await session.scalars(query.with_for_update())).one_or_none()


async def prioritise(session: AsyncSession, job: JobRow, priority: int, by: str) -> MovedTo:
    """Give a job whose row is locked another priority, and the place that goes with it since it was queued."""
    aged = func.extract("epoch", JobRow.queued_at) - priority * d.AGING_SECONDS
    changed = {"priority": priority, "rank": aged, "updated_at": func.pavo_now()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**changed))
    recorded = await timeline.append(session, job.id, [events.moved(priority, by)])
    return MovedTo(await _position(session, job), priority, recorded)


async def move(session: AsyncSession, job: JobRow, position: int, by: str) -> MovedTo:
    """Put a job, whose row and whose queue are locked, at a position; the others keep their order.

    Rework comes before backlog whatever anybody wants: the nearest place among its kind is taken.

    Args:
        position: from 1; one beyond the last is the last.
    """
    before = 0 if job.kind == d.REWORK else await _rework(session, job)
    place = max(1, position - before)
    lower, upper = await _around(session, job, place)
    rank = _between(lower, upper, job.rank)
    if rank is None:
        await session.execute(_SPREAD, {"organisation": job.organisation_id, "kind": job.kind, "step": STEP})
        lower, upper = await _around(session, job, place)
        rank = _between(lower, upper, job.rank)
    changed = {"rank": rank, "updated_at": func.pavo_now()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**changed))
    recorded = await timeline.append(session, job.id, [events.moved(job.priority, by)])
    return MovedTo(await _position(session, job), job.priority, recorded)


def _between(lower: float | None, upper: float | None, now: float) -> float | None:
    """A rank between two others; None where there is no room."""
    if lower is None and upper is None:
        return now
    if lower is None or upper is None:
        return upper - STEP if lower is None and upper is not None else (lower or 0.0) + STEP
    middle = lower + (upper - lower) / 2
    return middle if lower < middle < upper else None


async def _rework(session: AsyncSession, job: JobRow) -> int:
    mine = (JobRow.organisation_id == job.organisation_id, *_QUEUED, JobRow.kind == d.REWORK)
    return (await session.scalars(select(func.count()).select_from(JobRow).where(*mine))).one()


async def _around(session: AsyncSession, job: JobRow, place: int) -> tuple[float | None, float | None]:
    """Ranks of the jobs of its kind between which a place is, the job itself left out."""
    others = (JobRow.organisation_id == job.organisation_id, *_QUEUED, JobRow.kind == job.kind, JobRow.id != job.id)
    order = select(JobRow.rank).where(*others).order_by(JobRow.rank, JobRow.id)
    count = (await session.scalars(select(func.count()).select_from(JobRow).where(*others))).one()
    first = min(place - 1, count)
    found = (await session.scalars(order.offset(max(first - 1, 0)).limit(2))).all()
    if first == 0:
        return None, found[0] if found else None
    return found[0], found[1] if len(found) > 1 else None


async def _position(session: AsyncSession, job: JobRow) -> int:
    rank = (await session.scalars(select(JobRow.rank).where(JobRow.id == job.id))).one()
    mine = tuple_(job.kind != d.REWORK, rank, job.id)
    theirs = tuple_(JobRow.kind != d.REWORK, JobRow.rank, JobRow.id)
    before = (JobRow.organisation_id == job.organisation_id, *_QUEUED, theirs < mine)
    return 1 + (await session.scalars(select(func.count()).select_from(JobRow).where(*before))).one()
