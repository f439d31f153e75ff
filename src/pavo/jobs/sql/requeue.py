"""Jobs that come back into their queue because a person wants it, and jobs that leave it so."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.late.repository import note_adopted
from pavo.jobs.sql import results
from pavo.jobs.sql.models import JobAttemptRow, JobRow
from pavo.jobs.sql.results import Published
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent


async def back(
    session: AsyncSession,
    job: JobRow,
    kind: str,
    by: str,
    *,
    feedback: str,
    adopts: int | None = None,
    first: Sequence[NewEvent] = (),
) -> Sequence[Event]:
    """Put a job that is over, and whose row is locked, at the end of its kind's queue, with all attempts before it.

    Args:
        feedback: of the review that it is to answer; empty: none.
        adopts: the lost attempt whose work the next one takes over; None: the coding program runs.
        first: what its timeline is told before.
    """
    now = func.pavo_now()
    values: dict[str, Any] = {
        "stage": d.QUEUED,
        "kind": kind,
        "rank": func.extract("epoch", now) - job.priority * d.AGING_SECONDS,
        "feedback": feedback,
        "attempts": 0,
        "adopts": adopts,
        "error": None,
        "outcome": None,
        "cancel_asked_at": None,
        "cancel_asked_by": None,
        "ended_at": None,
        "log_removed_at": None,
        "lease_until": None,
        "queued_at": now,
        "updated_at": now,
        "heard_at": now,
    }
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    told = [*first, events.queued(kind, job.priority, by), events.stage(d.QUEUED)]
    return await timeline.append(session, job.id, told)


async def more_feedback(session: AsyncSession, job: JobRow, feedback: str, told: NewEvent) -> Sequence[Event]:
    """Another review comes while the job waits to answer one."""
    values = {"feedback": feedback, "kind": d.REWORK, "updated_at": func.pavo_now()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    return await timeline.append(session, job.id, [told])


async def cancel_queued(session: AsyncSession, job: JobRow, user_id: uuid.UUID, by: str) -> Sequence[Event]:
    """Cancel a job that waits in its queue."""
    now = func.pavo_now()
    values = {"stage": d.CANCELLED, "cancel_asked_at": now, "cancel_asked_by": user_id, "ended_at": now}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(updated_at=now, **values))
    return await timeline.append(session, job.id, [events.cancel_asked(by), events.stage(d.CANCELLED)])


async def ask_to_cancel(session: AsyncSession, job: JobRow, user_id: uuid.UUID, by: str) -> Sequence[Event]:
    """Note that a job in progress is to be cancelled; once."""
    if job.cancel_asked_at is not None:
        return ()
    values = {"cancel_asked_at": func.pavo_now(), "cancel_asked_by": user_id, "updated_at": func.pavo_now()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    return await timeline.append(session, job.id, [events.cancel_asked(by)])


async def adopt_published(
    session: AsyncSession, job: JobRow, epoch: int, place: Published, outcome: str, by: str
) -> Sequence[Event]:
    """What a lost attempt has published is the job's: it is done, or answers the reviews next that came meanwhile."""
    unanswered = await unknown_feedback(session, job, epoch) if job.stage == d.QUEUED else ""
    now = func.pavo_now()
    values: dict[str, Any] = {
        "stage": d.DONE,
        "outcome": outcome,
        "commit": place.commit or None,
        "branch": place.branch or job.branch,
        "error": None,
        "ended_at": now,
        "updated_at": now,
    }
    told = [events.adopted(epoch, by)]
    if place.url:
        values |= {"pull_request_url": place.url, "pull_request_number": place.number, "pull_request_state": "open"}
        told.append(events.pull_request(place.url, place.number, "open", updated=place.updated))
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    await note_adopted(session, job.id, epoch)
    if unanswered:
        return await back(session, job, d.REWORK, by, feedback=unanswered, first=told)
    return await timeline.append(session, job.id, [*told, events.stage(d.DONE)])


async def adopt_kept(session: AsyncSession, job: JobRow, epoch: int, by: str) -> Sequence[Event]:
    """What a lost attempt's agent has kept is taken over by the next attempt, in front of the backlog: that moves the
    job's branch there, has reviews answered that the lost attempt did not know, verifies and publishes it."""
    feedback = await unknown_feedback(session, job, epoch)
    await note_adopted(session, job.id, epoch)
    return await back(session, job, d.REWORK, by, feedback=feedback, adopts=epoch, first=[events.adopted(epoch, by)])


async def unknown_feedback(session: AsyncSession, job: JobRow, epoch: int) -> str:
    """What reviews say that came after an attempt was told what to do; empty: nothing."""
    known = await results.told_feedback(session, job.id, epoch)
    return job.feedback.removeprefix(known).strip() if known else job.feedback


async def attempt(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> JobAttemptRow | None:
    """One attempt at a job, locked."""
    query = select(JobAttemptRow).where(JobAttemptRow.job_id == job_id, JobAttemptRow.epoch == epoch)
    return (await session.scalars(query.with_for_update())).one_or_none()
