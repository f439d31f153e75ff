"""A queue as people see it: what is in progress, what waits, and who could do it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.queue.reasons import Place
from pavo.jobs.sql import IN_PROGRESS

_RUNNING: Final = text(f"""
SELECT j.id, j.title, j.kind, j.stage, j.epoch, j.attempts, j.agent_id, a.name AS agent, j.claimed_at AS since,
    j.heard_at, j.pull_request_url, j.temporal_workflow_id AS workflow_id
FROM jobs j LEFT JOIN remote_agents a ON a.id = j.agent_id
WHERE j.organisation_id = :organisation AND j.stage IN {IN_PROGRESS} AND j.deleted_at IS NULL
ORDER BY j.claimed_at, j.id LIMIT :most
""")
_QUEUED: Final = text("""
SELECT j.id, j.title, j.kind, j.priority, j.attempts, j.max_attempts, j.labels, j.program, j.queued_at
FROM jobs j WHERE j.organisation_id = :organisation AND j.stage = 'QUEUED' AND j.deleted_at IS NULL
ORDER BY (j.kind <> 'rework'), j.rank, j.id OFFSET :after LIMIT :most
""")
_COUNTS: Final = text("""
SELECT stage, count(*) AS jobs FROM jobs WHERE organisation_id = :organisation AND deleted_at IS NULL GROUP BY stage
""")
_PLACES: Final = text(f"""
SELECT a.name, a.labels, a.programs, a.online AND a.queue IS NOT NULL AS connected,
    a.draining OR a.drain_asked AS draining,
    CASE WHEN a.rests_until > pavo_now() THEN a.rests_for ELSE '' END AS rests_for,
    a.capacity - (SELECT count(*) FROM jobs j WHERE j.agent_id = a.id AND j.stage IN {IN_PROGRESS}) AS free
FROM remote_agents a WHERE a.organisation_id = :organisation OR a.organisation_id IS NULL
ORDER BY a.name
""")
MOST_RUNNING: Final = 500


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that an attempt holds."""

    id: uuid.UUID
    title: str
    kind: str
    stage: str
    epoch: int
    attempts: int
    agent_id: uuid.UUID | None
    agent: str | None
    since: datetime | None
    heard_at: datetime
    pull_request_url: str | None
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that waits."""

    id: uuid.UUID
    title: str
    kind: str
    priority: int
    attempts: int
    max_attempts: int
    labels: Sequence[str]
    program: str
    queued_at: datetime


async def running(session: AsyncSession, organisation_id: uuid.UUID) -> list[RunningJob]:
    """The organisation's jobs in progress, the longest first; at most `MOST_RUNNING`."""
    values = {"organisation": organisation_id, "most": MOST_RUNNING}
    return [RunningJob(**row) for row in (await session.execute(_RUNNING, values)).mappings()]


async def queued(session: AsyncSession, organisation_id: uuid.UUID, after: int, most: int) -> list[QueuedJob]:
    """The jobs that wait, in their order, beginning behind position `after`."""
    values = {"organisation": organisation_id, "after": after, "most": most}
    return [QueuedJob(**row) for row in (await session.execute(_QUEUED, values)).mappings()]


async def counts(session: AsyncSession, organisation_id: uuid.UUID) -> dict[str, int]:
    """How many jobs are in which stage; stages without any are left out."""
    return {row.stage: row.jobs for row in await session.execute(_COUNTS, {"organisation": organisation_id})}


async def places(session: AsyncSession, organisation_id: uuid.UUID) -> list[Place]:
    """The agents that could do the organisation's jobs."""
    found = await session.execute(_PLACES, {"organisation": organisation_id})
    return [Place(**row) for row in found.mappings()]
