"""The attempts of jobs: how they begin and how they end. All SQL of both.

Every write is `WHERE epoch = mine`, with the job's row locked; those of a workflow are numbered by its fence.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.gates import repository as gates
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.event_data import JobError
from pavo.jobs.late.domain import MAX_REASON, OWED
from pavo.jobs.models import budget_spent
from pavo.jobs.sql import results
from pavo.jobs.sql.models import JobAttemptRow, JobRow, RemoteAgentRow
from pavo.jobs.sql.results import Published
from pavo.runs.fence import Fence
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

ATTEMPTS_USED_UP: Final = "AttemptsUsedUp"
NOTHING_CHANGED: Final = (
    "The coding program changed nothing in answer to the review: what was published before is as it was.",
    "Look at the job's log, and ask for rework in other words, or answer the review where it was written.",
)
"""What is told of a review that was not answered by any change, and the remedy."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What ending an attempt has led to."""

    stage: str
    """In which the job is now; empty: there is no such job."""
    organisation_id: uuid.UUID | None
    """Whose queue is to look."""
    wrote: bool
    """Whether this ended it: else it was over, or another attempt holds the job."""
    events: Sequence[Event] = ()
    """To be published after the commit."""


async def locked(session: AsyncSession, job_id: uuid.UUID) -> JobRow | None:
    """The job, locked until the transaction ends; None: there is none."""
    query = select(JobRow).where(JobRow.id == job_id, JobRow.deleted_at.is_(None)).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


def holds(job: JobRow | None, epoch: int) -> bool:
    """Whether the attempt holds the job: no other was begun, and it was not ended."""
    return job is not None and job.epoch == epoch and job.stage in d.IN_PROGRESS


def is_newer(job: JobRow, fence: Fence | None) -> bool:
    """Whether the workflow's write is newer than the row; None: of somebody who has no number."""
    return fence is None or fence.number > (job.generation, job.transition)


def numbered(job: JobRow, epoch: int, fence: Fence | None) -> dict[str, Any]:
    """The columns of the write's number; one without a number is the next one."""
    if fence is None:
        before = job.transition if job.generation == epoch else 0
        return {"generation": epoch, "transition": before + 1}
    return fence.columns()


async def end_attempt(
    session: AsyncSession,
    job_id: uuid.UUID,
    epoch: int,
    fence: Fence | None,
    how: str,
    error: str = "",
    cause: str = "",
    remedy: str = "",
    *,
    cleaned: bool = True,
    command_id: str = "",
    outcome: str = "",
) -> Ended:
    """End an attempt that holds its job; in the caller's transaction, and once.

    A lost one puts the job back into its queue at the same place, until it was tried often enough: then it is FAILED.

    Args:
        fence: the number of the workflow's write; None: of somebody who ends it in the workflow's place.
        how: done, failed, cancelled or lost.
        cleaned: whether the agent has cleaned up; else it owes that.
        command_id: of the command whose result tells cause and remedy, where these are not given.
        outcome: no_changes, or empty: what was published tells.
    """
    job = await locked(session, job_id)
    if job is None or not holds(job, epoch) or not is_newer(job, fence):
        return Ended(job.stage if job else "", job.organisation_id if job else None, wrote=False)
    why = await why_ended(session, job_id, epoch, how, error, cause, remedy, command_id)
    place, outcome = await _reached(session, job_id, epoch, how, outcome)
    unanswered = how == c.ENDED_DONE and outcome == c.NO_CHANGES and bool(job.feedback)
    stage, changes = _stage_after(job, how, why, outcome, place, spared=await _spared(session, job_id, how, error))
    changes |= numbered(job, epoch, fence) | _published(place)
    notes = [events.note(*NOTHING_CHANGED)] if unanswered else []
    told = [*notes, events.attempt_ended(epoch, how, why, owes_cleanup=not cleaned), *_told(job, stage, place)]
    await session.execute(update(JobRow).where(JobRow.id == job_id).values(stage=stage, **changes))
    reason = f"{why['type']}: {why['cause']}" if why else NOTHING_CHANGED[0] if unanswered else ""
    await _end_row(session, job, epoch, how, reason, place, stage, cleaned=cleaned, unable=error in c.UNABLE)
    await gates.pause(session, job_id)
    return Ended(stage, job.organisation_id, wrote=True, events=await timeline.append(session, job_id, told))


async def _spared(session: AsyncSession, job_id: uuid.UUID, how: str, error: str) -> bool:
    """Whether a lost attempt is no try: its agent was unable to do the job, or people are asked about its plan still,
    who may take as long as they like."""
    return error in c.UNABLE or (how == c.ENDED_LOST and await gates.is_asked(session, job_id))


async def _reached(
    session: AsyncSession, job_id: uuid.UUID, epoch: int, how: str, outcome: str
) -> tuple[Published | None, str]:
    """Where an attempt's work went, and the outcome, where it is known without that."""
    place = await results.published(session, job_id, epoch) if how == c.ENDED_DONE else None
    return (None, c.NO_CHANGES) if place is not None and not place.commit else (place, outcome)


async def why_ended(
    session: AsyncSession,
    job_id: uuid.UUID,
    epoch: int,
    how: str,
    error: str = "",
    cause: str = "",
    remedy: str = "",
    command_id: str = "",
) -> JobError | None:
    """Why an attempt ends that failed or was lost; None: it did not. The arguments are those of `end_attempt`."""
    if how not in (c.ENDED_FAILED, c.ENDED_LOST):
        return None
    if error == budget_spent.BUDGET_SPENT:
        why = await budget_spent.error_of(session, job_id, epoch)
    else:
        why = await results.error_of(session, command_id, error)
    return {"type": error or why["type"], "cause": cause, "remedy": remedy} if cause else why


def _stage_after(
    job: JobRow, how: str, why: JobError | None, outcome: str, place: Published | None, *, spared: bool
) -> tuple[str, dict[str, Any]]:
    """The stage, and what else changes in the row. A try that does not count is given back: its agent was unable to
    do the job, or people had not answered yet."""
    now = func.pavo_now()
    kept: dict[str, Any] = {"lease_until": None, "heard_at": now, "updated_at": now, "ended_at": now}
    over = kept | {"adopts": None}
    if how == c.ENDED_DONE:
        reached = outcome or (c.PUBLISHED if place is not None and place.url else c.PUSHED)
        return d.DONE, over | {"outcome": reached, "error": None}
    if how == c.ENDED_CANCELLED or (how == c.ENDED_LOST and job.cancel_asked_at is not None):
        return d.CANCELLED, over | {"error": None}
    if how == c.ENDED_FAILED:
        return d.FAILED, over | {"error": {**why} if why else None}
    if spared:
        error = {**why} if why else None
        return d.QUEUED, kept | {"ended_at": None, "error": error, "attempts": max(job.attempts - 1, 0)}
    if job.attempts >= job.max_attempts:
        last = why["cause"] if why else ""
        error = {
            "type": ATTEMPTS_USED_UP,
            "cause": f"It was begun {job.attempts} times and lost each time. The last one: {last}",
            "remedy": (why["remedy"] if why else "") or "Look at its agents, and queue it again.",
        }
        return d.FAILED, over | {"error": error}
    return d.QUEUED, kept | {"ended_at": None, "error": {**why} if why else None}


def _published(place: Published | None) -> dict[str, Any]:
    if place is None:
        return {}
    found: dict[str, Any] = {"commit": place.commit or None}
    if place.url:
        found |= {"pull_request_url": place.url, "pull_request_number": place.number, "pull_request_state": "open"}
    return found


def _told(job: JobRow, stage: str, place: Published | None) -> list[NewEvent]:
    told = [events.stage(stage)]
    if place is not None and place.url:
        told.insert(0, events.pull_request(place.url, place.number, "open", updated=place.updated))
    if stage == d.QUEUED:
        told.append(events.queued(job.kind, job.priority))
    return told


async def _end_row(
    session: AsyncSession,
    job: JobRow,
    epoch: int,
    how: str,
    reason: str,
    place: Published | None,
    stage: str,
    *,
    cleaned: bool,
    unable: bool,
) -> None:
    mine = (JobAttemptRow.job_id == job.id, JobAttemptRow.epoch == epoch, JobAttemptRow.ended_at.is_(None))
    values: dict[str, Any] = {"ended_at": func.pavo_now(), "ended": how, "cleanup_owed": not cleaned}
    if how == c.ENDED_LOST and not cleaned and stage != d.CANCELLED:
        values["late_work"] = OWED  # its worktree is removed only after what it has changed is kept
    values["reason"] = reason
    if place is not None:
        values |= {"branch": place.branch or None, "commit": place.commit or None}
    await session.execute(update(JobAttemptRow).where(*mine).values(**values))
    if unable and how == c.ENDED_LOST and job.agent_id is not None:
        await _rest(session, job.agent_id, reason)


async def _rest(session: AsyncSession, agent_id: uuid.UUID, reason: str) -> None:
    """Give an agent no job for a while, since it cannot do any. One whose row is held is passed over: who holds it
    may wait for the job's."""
    until = func.pavo_now() + timedelta(seconds=c.REST_SECONDS)
    free = select(RemoteAgentRow.id).where(RemoteAgentRow.id == agent_id).with_for_update(skip_locked=True)
    mine = update(RemoteAgentRow).where(RemoteAgentRow.id.in_(free))
    values = {"rests_until": until, "rests_for": reason[:MAX_REASON]}
    await session.execute(mine.values(**values).execution_options(synchronize_session=False))


async def cleaned_up(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> None:
    """The agent has removed what an attempt left on its machine: it owes that no more."""
    mine = (JobAttemptRow.job_id == job_id, JobAttemptRow.epoch == epoch)
    await session.execute(update(JobAttemptRow).where(*mine).values(cleanup_owed=False))
