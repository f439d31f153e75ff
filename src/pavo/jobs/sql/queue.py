"""The order of an organisation's queue, and how jobs come into it.

Whoever changes the order holds the queue's row, as claims do; a job's row is locked after it, never before.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.sql.models import JobQueueRow, JobRow
from pavo.kit.ids import new_id
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event


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
