"""SQL of the figures. It only reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_IN_PROGRESS: Final = "('CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING')"
_FIGURES: Final = text(f"""
SELECT
    (SELECT coalesce(extract(epoch FROM pavo_now() - min(j.queued_at)), 0)
     FROM jobs j JOIN job_queues q ON q.organisation_id = j.organisation_id
     WHERE j.stage = 'QUEUED' AND j.deleted_at IS NULL AND q.paused_at IS NULL) AS oldest,
    (SELECT coalesce(extract(epoch FROM pavo_now() - min(j.heard_at)), 0) FROM jobs j
     WHERE j.stage IN {_IN_PROGRESS}
       AND NOT EXISTS (SELECT FROM gates g WHERE g.subject_id = j.id AND g.state = 'open')) AS silent,
    (SELECT count(*) FROM jobs j JOIN job_commands c ON c.job_id = j.id AND c.epoch = j.epoch
     WHERE j.stage IN {_IN_PROGRESS} AND c.ended_at IS NULL) AS pending,
    count(*) FILTER (WHERE a.online AND NOT (a.draining OR a.drain_asked)) AS online,
    count(*) FILTER (WHERE a.online AND (a.draining OR a.drain_asked)) AS draining,
    count(*) FILTER (WHERE NOT a.online) AS offline
FROM remote_agents a
""")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all organisations."""

    oldest_queued_seconds: float
    """Of the job that waits longest in a queue that is not paused; 0: none does."""
    silent_seconds: float
    """Of the job in progress of which nothing came for the longest, where nobody is asked; 0: there is none."""
    pending_commands: int
    agents: Mapping[str, int]
    """By state: online, draining, offline."""


async def figures(session: AsyncSession) -> Figures:
    """As they are now."""
    row = (await session.execute(_FIGURES)).one()
    agents = {"online": row.online, "draining": row.draining, "offline": row.offline}
    return Figures(float(row.oldest), max(0.0, float(row.silent)), row.pending, agents)
