"""Open pull requests of jobs that are over: which are due, and what is taken from their forges."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.sql import requeue
from pavo.jobs.sql.attempts import locked
from pavo.jobs.sql.models import JobRow
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

LOOKED_AT_SECONDS: Final = 300.0
"""Who looks at one has so long; where it dies, another looks then."""
_WATCHED: Final = (
    "j.stage IN ('DONE', 'FAILED', 'CANCELLED') AND (j.pull_request_state = 'open' "
    "OR (j.pull_request_state = 'closed' AND j.pull_request_look_at IS NOT NULL)) "
    "AND j.pull_request_number IS NOT NULL AND j.deleted_at IS NULL"
)
"""Which are looked at: one condition for what is due and for when, or a round would follow the other for nothing. A
closed one may be opened again, and is looked at as long as it has a time for that."""


@dataclass(frozen=True, slots=True)
class OpenPullRequest:
    """One that is due."""

    job_id: uuid.UUID
    organisation_id: uuid.UUID
    epoch: int
    number: int
    state: str
    """As it was known last."""
    quiet: timedelta
    """Since something happened in it that is known here."""
    reviews: int
    """How often comments had the job go on."""
    since: datetime | None
    seen: Sequence[str]
    tags: Mapping[str, str]
    forge: str
    clone_url: str
    forge_url: str
    credential: str | None
    reviewers: str
    until: datetime
    """So long nobody else is given it."""


_DUE: Final = text(f"""
WITH due AS (
    SELECT j.id FROM jobs j WHERE {_WATCHED}
        AND (j.pull_request_look_at IS NULL OR j.pull_request_look_at <= pavo_now())
    ORDER BY j.pull_request_look_at NULLS FIRST LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE jobs j SET pull_request_look_at = pavo_now() + make_interval(secs => :seconds)
FROM due, repositories r WHERE j.id = due.id AND r.id = j.repository_id
RETURNING j.id AS job_id, j.organisation_id, j.epoch, j.pull_request_number AS number, j.pull_request_state AS state,
    pavo_now() - greatest(coalesce(j.ended_at, j.updated_at), j.comments_since,
        CASE WHEN j.pull_request_state = 'closed' THEN j.updated_at END) AS quiet,
    j.pull_request_reviews AS reviews, j.comments_since AS since, j.comments_seen AS seen, j.forge_tags AS tags,
    r.forge, r.clone_url, r.forge_url, r.credential, r.reviewers, j.pull_request_look_at AS until
""")
_NEXT: Final = text(f"""
SELECT extract(epoch FROM min(coalesce(j.pull_request_look_at, pavo_now())) - pavo_now()) FROM jobs j WHERE {_WATCHED}
""")
_LATER: Final = text(f"""
UPDATE jobs j SET pull_request_look_at = greatest(j.pull_request_look_at, pavo_now() + make_interval(secs => :seconds))
FROM repositories r WHERE {_WATCHED} AND j.organisation_id = :organisation AND r.id = j.repository_id
    AND r.forge = :forge AND r.forge_url = :forge_url
    AND split_part(r.clone_url, '/', 3) = split_part(CAST(:clone_url AS text), '/', 3)
""")


async def due(session: AsyncSession, most: int) -> list[OpenPullRequest]:
    """Those that are to be looked at now, for whoever asks alone: nobody else is given them for a while."""
    rows = (await session.execute(_DUE, {"most": most, "seconds": LOOKED_AT_SECONDS})).mappings()
    return [OpenPullRequest(**row) for row in rows]


async def seconds_until_next(session: AsyncSession) -> float | None:
    """Until one is due; None: there are none."""
    found = (await session.scalars(_NEXT)).one()
    return None if found is None else max(0.0, float(found))


async def put_off(session: AsyncSession, one: OpenPullRequest, seconds: float) -> None:
    """Ask this forge nothing for so long about what this organisation has there."""
    place = {"forge": one.forge, "forge_url": one.forge_url, "clone_url": one.clone_url}
    values = {"organisation": one.organisation_id, "seconds": seconds, **place}
    await session.execute(_LATER, values)


async def put_off_one(session: AsyncSession, one: OpenPullRequest, seconds: float) -> None:
    """Ask nothing about this one for so long."""
    later = func.pavo_now() + timedelta(seconds=seconds)
    mine = (JobRow.id == one.job_id, JobRow.epoch == one.epoch)
    await session.execute(update(JobRow).where(*mine).values(pull_request_look_at=later))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look has found, and decided."""

    state: str
    since: datetime | None
    seen: Sequence[str]
    tags: Mapping[str, str]
    next_seconds: float | None
    """Until it is looked at again; None: it is over."""
    feedback: str = ""
    """What the job is to answer; empty: nothing."""
    by: str = ""
    """Whose comments that are."""
    dropped: int = 0
    """Comments that the job would answer, had comments not had it go on as often as they may."""


async def take(session: AsyncSession, one: OpenPullRequest, taken: Taken) -> Sequence[Event] | None:
    """Take what a look has found, where nothing else has happened to the job meanwhile: the comments are known, and the
    job goes on, in the caller's transaction, or neither.

    Returns:
        what is to be published after the commit; None: the job is not as it was looked at, and nothing was changed.
    """
    job = await locked(session, one.job_id)
    if job is None or job.stage not in d.OVER or (job.epoch, job.pull_request_number) != (one.epoch, one.number):
        return None
    values: dict[str, Any] = {
        "pull_request_state": taken.state,
        "comments_since": taken.since,
        "comments_seen": list(taken.seen),
        "forge_tags": dict(taken.tags),
        "pull_request_look_at": None,
    }
    if taken.next_seconds is not None:
        values["pull_request_look_at"] = func.pavo_now() + timedelta(seconds=taken.next_seconds)
    if job.pull_request_look_at is not None and job.pull_request_look_at > one.until:
        values["pull_request_look_at"] = job.pull_request_look_at  # its forge was asked too often meanwhile
    if taken.feedback:
        values |= {"pull_request_reviews": JobRow.pull_request_reviews + 1, "pull_request_look_at": None}
    told: list[NewEvent] = [events.note(*_dropped(one, taken.dropped))] if taken.dropped else []
    if taken.state != job.pull_request_state:
        told.append(events.pull_request(job.pull_request_url or "", one.number, taken.state))
        values["updated_at"] = func.pavo_now()
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    if taken.feedback:
        told.append(events.message(taken.feedback, taken.by))
        return await requeue.back(session, job, d.REWORK, taken.by, feedback=taken.feedback, first=told)
    return await timeline.append(session, job.id, told) if told else ()


def _dropped(one: OpenPullRequest, count: int) -> tuple[str, str]:
    """What is told of comments that nobody answers, and the remedy."""
    text = (
        f"{count} {'comment' if count == 1 else 'comments'} on the pull request {'is' if count == 1 else 'are'} not "
        f"answered: comments there have had the job go on {one.reviews} times, and may no more."
    )
    return text, "Ask for rework of the job, and say there what is to be changed."
