"""What waits in queues: whether anybody could be given anything, what was not begun, and which leases ran out."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text

from pavo.jobs.leases.repository import EXPIRED, silent
from pavo.jobs.sql import IN_PROGRESS
from pavo.jobs.sql.claims import AVAILABLE, CONNECTED, FIRST, QUEUED
from pavo.kit.sql import Database

# As a claim does, without locking anything: by steps over `ix_jobs_wanted`, one for each organisation, program and
# labels that anybody waits for, however many jobs wait.
_READY: Final = text(f"""
WITH RECURSIVE free AS MATERIALIZED (
    SELECT a.organisation_id, a.labels, a.programs FROM remote_agents a
    WHERE {AVAILABLE} AND a.capacity > (
        SELECT count(*) FROM jobs j WHERE j.agent_id = a.id AND j.stage IN {IN_PROGRESS}
    )
), wanted AS (
    (SELECT j.organisation_id, j.program, j.labels FROM jobs j WHERE {QUEUED} AND EXISTS (SELECT FROM free)
     ORDER BY j.organisation_id, {FIRST})
    UNION ALL
    SELECT n.* FROM wanted w CROSS JOIN LATERAL (
        SELECT j.organisation_id, j.program, j.labels FROM jobs j
        WHERE {QUEUED} AND (j.organisation_id, j.program, j.labels) > (w.organisation_id, w.program, w.labels)
        ORDER BY j.organisation_id, {FIRST}
    ) n
)
SELECT DISTINCT f.organisation_id
FROM wanted w JOIN job_queues q ON q.organisation_id = w.organisation_id
JOIN free f ON (f.organisation_id IS NULL OR f.organisation_id = w.organisation_id)
    AND f.labels @> w.labels AND w.program = ANY (f.programs)
WHERE q.paused_at IS NULL AND q.at_once > (
    SELECT count(*) FROM jobs j WHERE j.organisation_id = q.organisation_id AND j.stage IN {IN_PROGRESS}
)
""")
_NEEDED: Final = text(f"""
SELECT EXISTS (
    SELECT FROM job_queues q WHERE q.paused_at IS NULL AND EXISTS (
        SELECT FROM jobs j WHERE j.organisation_id = q.organisation_id AND j.stage = 'QUEUED' AND j.deleted_at IS NULL
    ) AND EXISTS (
        SELECT FROM remote_agents a
        WHERE {CONNECTED} AND (a.organisation_id IS NULL OR a.organisation_id = q.organisation_id)
    )
)
""")
_NOT_BEGUN: Final = text("""
SELECT j.id, j.epoch FROM jobs j JOIN remote_agents a ON a.id = j.agent_id
WHERE j.stage = 'CLAIMED' AND j.temporal_run_id IS NULL
  AND (j.organisation_id = :organisation OR a.organisation_id IS NULL)
  AND j.claimed_at <= pavo_now() - make_interval(secs => :seconds)
ORDER BY j.claimed_at LIMIT :most
""")
# What was claimed before an outage is begun after it: nobody renews the lease of what no agent was given yet.
_LATE: Final = text(f"""
SELECT DISTINCT j.organisation_id FROM jobs j
WHERE j.stage = 'CLAIMED' AND j.temporal_run_id IS NULL AND j.deleted_at IS NULL AND NOT {EXPIRED}
  AND j.claimed_at <= pavo_now() - make_interval(secs => :seconds)
LIMIT :most
""")
# Renewing a lease says that an agent lives, not that the job gets on. Where people are asked it need not.
_LOST: Final = text(f"""
SELECT j.id, j.epoch, coalesce(a.name, '') AS agent, j.stage,
    {EXPIRED} AS expired, j.heard_at
FROM jobs j LEFT JOIN remote_agents a ON a.id = j.agent_id
WHERE j.stage IN {IN_PROGRESS} AND (
    {EXPIRED}
    OR ({silent(":silence")}
        AND NOT EXISTS (SELECT FROM gates g WHERE g.subject_id = j.id AND g.state = 'open'))
)
ORDER BY j.lease_until LIMIT :most
""")
MOST: Final = 1_000
"""Of a round; the next one is seconds away."""


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt that nobody keeps up, or that gets nowhere."""

    job_id: uuid.UUID
    epoch: int
    agent: str
    stage: str
    expired: bool
    """Its lease ran out; else it is not heard of."""


async def ready(database: Database) -> Sequence[uuid.UUID | None]:
    """Organisations whose own agents could be given a job now, and None where agents that serve all could.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        return (await session.scalars(_READY)).all()


async def line_is_needed(database: Database) -> bool:
    """Whether jobs wait in a queue that is not paused while an agent that could get them is connected.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        return bool((await session.scalars(_NEEDED)).one())


async def not_begun(
    database: Database, organisation_id: uuid.UUID | None, seconds: float, most: int
) -> Sequence[tuple[uuid.UUID, int]]:
    """Jobs and epochs that were claimed so long ago, and whose workflows have not written yet: of this organisation,
    or by agents that serve all.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    values: dict[str, Any] = {"organisation": organisation_id, "seconds": seconds, "most": most}
    async with database.reading() as session:
        return [(row.id, row.epoch) for row in await session.execute(_NOT_BEGUN, values)]


async def organisations_not_begun(database: Database, seconds: float) -> Sequence[uuid.UUID]:
    """Organisations with jobs that were claimed so long ago, and whose workflows have not written yet; at most `MOST`.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        return (await session.scalars(_LATE, {"seconds": seconds, "most": MOST})).all()


async def lost_attempts(database: Database, silence: float) -> Sequence[LostAttempt]:
    """Attempts whose lease ran out though it could have been renewed, and those of which no log, stage or result came
    for `silence` seconds while nobody was asked; at most `MOST`.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        rows = (await session.execute(_LOST, {"silence": silence, "most": MOST})).all()
    return [LostAttempt(row.id, row.epoch, row.agent, row.stage, row.expired) for row in rows]
