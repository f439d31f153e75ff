"""What is asked of a task before a worker takes an attempt of it, and what the task is said to wait for."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.timeline.domain import Event, NewEvent, numbered, payload


@dataclass(frozen=True, slots=True)
class Applicant:
    """A task of which an attempt is to begin."""

    task_id: uuid.UUID
    agent_type: str
    organisation_id: uuid.UUID
    deaths: int
    """How often its agent ended its process at what is to be done next."""
    waiting: str | None
    """What it was said to wait for."""
    worker: str | None
    """The process that took the attempt before this one, as it names itself in leases."""
    workflow_id: str
    in_flight: bool
    """Whether by its rows an agent works on it: that attempt has not ended in order, if this is another one."""
    ends: int = 0
    """How often of late a worker was ended from inside with the task in it, whatever was recorded in between."""
    alone_in: str | None = None
    """The process in which it has its turn alone, or had it."""

    @property
    def group(self) -> tuple[str, uuid.UUID]:
        """Whose places it takes."""
        return self.agent_type, self.organisation_id

    @property
    def suspicion(self) -> int:
        """So many ends of workers may be its work."""
        return max(self.deaths, self.ends)

    @property
    def is_given_up(self) -> bool:
        """Whether its agent is not begun again."""
        return self.deaths >= d.MAX_DEATHS


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts against a task's agent after one more end of a worker."""

    deaths: int
    ends: int


_APPLICANT: Final = """
SELECT t.agent_type, t.organisation_id, e.deaths, e.waiting, e.worker, t.workflow_id,
    coalesce(t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND e.holder = e.worker), false) AS in_flight,
    CASE WHEN e.ended_at > pavo_now() - INTERVAL '10 minutes' THEN e.ends ELSE 0 END AS ends, e.alone_in
"""

_FIND: Final = f"""
{_APPLICANT}
FROM tasks t JOIN executions e ON e.task_id = t.id
WHERE t.id = %(task_id)s AND t.deleted_at IS NULL
"""

_APPLY: Final = f"""
WITH before AS (
    {_APPLICANT}
    FROM tasks t JOIN executions e ON e.task_id = t.id
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL FOR UPDATE OF e
), noted AS (
    UPDATE executions e SET alone_in = NULL, worker = CASE WHEN before.deaths + before.ends = 0 THEN %(worker)s END
    FROM before WHERE e.task_id = %(task_id)s
)
SELECT * FROM before
"""

_NOTE: Final = """
UPDATE executions SET worker = %(worker)s, alone_in = CASE WHEN %(alone)s THEN %(worker)s END
WHERE task_id = %(task_id)s RETURNING 1
"""

_NOT_ALONE: Final = """
UPDATE executions SET alone_in = NULL WHERE task_id = %(task_id)s AND alone_in = %(worker)s RETURNING 1
"""

# What several share is nobody's for certain: by that alone a task comes under suspicion and no further.
_COUNT: Final = text(f"""
WITH counted AS (
    SELECT e.task_id,
        CASE WHEN e.ended_at > pavo_now() - INTERVAL '10 minutes' THEN e.ends ELSE 0 END + 1 AS ends
    FROM executions e JOIN tasks t ON t.id = e.task_id
    WHERE t.id = :task_id AND t.deleted_at IS NULL AND t.stage IN ('PLANNING', 'EXECUTING')
      AND (:worker = '' OR left(e.worker, :length) = :worker)
    FOR UPDATE OF e
)
UPDATE executions e SET failure = CAST(:failure AS jsonb), ends = c.ends, ended_at = pavo_now(),
    deaths = CASE
        WHEN NOT :certain THEN greatest(e.deaths, least(e.deaths + 1, {d.MAX_DEATHS - 1}))
        WHEN c.ends >= {d.MAX_DEATHS} THEN greatest(e.deaths + 1, {d.MAX_DEATHS})
        ELSE e.deaths + 1 END
FROM counted c WHERE e.task_id = c.task_id RETURNING e.deaths, e.ends
""")

# `timeline_append` is in migration 0002; that of 0001 is superseded.
_TELL: Final = """
WITH told AS (
    UPDATE executions e SET waiting = %(waiting)s FROM tasks t
    WHERE t.id = %(task_id)s AND e.task_id = t.id AND t.deleted_at IS NULL
      AND t.stage IN ('INIT', 'PLANNING', 'EXECUTING') AND e.waiting IS DISTINCT FROM %(waiting)s
    RETURNING t.id
)
SELECT a.first_seq, a.at FROM told, LATERAL timeline_append(told.id, CAST(%(events)s AS jsonb)) a
"""

_WAITING: Final = text("""
SELECT t.workflow_id FROM executions e JOIN tasks t ON t.id = e.task_id
WHERE e.waiting IS NOT NULL AND t.agent_type = ANY(:agents) AND t.deleted_at IS NULL
  AND t.stage IN ('INIT', 'PLANNING', 'EXECUTING')
  AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.subject_id = t.id AND g.state = 'open')
ORDER BY t.created_at LIMIT 10000
""")


async def find(writer: TaskWriter, task_id: uuid.UUID | None) -> Applicant | None:
    """The task, unless it is unknown or deleted."""
    rows = await writer.connections.rows(_FIND, {"task_id": task_id})
    return Applicant(task_id, *rows[0]) if rows and task_id else None


async def apply(writer: TaskWriter, task_id: uuid.UUID) -> Applicant | None:
    """The same, and note that this process takes the attempt.

    Not of one that has counted deaths: it may be handed back, and whoever ends the worker meanwhile must not count
    against it. Once it is admitted, `note_worker` notes it.
    """
    rows = await writer.connections.rows(_APPLY, {"task_id": task_id, "worker": writer.holder})
    return Applicant(task_id, *rows[0]) if rows else None


async def note_worker(writer: TaskWriter, task_id: uuid.UUID, *, alone: bool = False) -> None:
    """Note that this process works on the task, as `apply` does where nothing counts against it.

    Args:
        alone: nothing else runs inside of it, until `end_turn`.
    """
    await writer.connections.rows(_NOTE, {"task_id": task_id, "worker": writer.holder, "alone": alone})


async def end_turn(writer: TaskWriter, task_id: uuid.UUID) -> None:
    """From here on others may run beside it."""
    await writer.connections.rows(_NOT_ALONE, {"task_id": task_id, "worker": writer.holder})


async def count_end(
    database: Database, task_id: uuid.UUID, worker: str, failure: Mapping[str, str], *, certain: bool
) -> Counted | None:
    """Count that a worker was ended from inside with the task in it; None: nothing was counted.

    Args:
        worker: how the names of its leases begin; empty: whoever has it.
        failure: type, cause and remedy of that end.
        certain: it was this task's agent, for nothing else ran inside.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    values = {"task_id": task_id, "worker": worker, "length": len(worker), "certain": certain}
    async with database.autocommit() as connection:
        row = (await connection.execute(_COUNT, {**values, "failure": encode_text(dict(failure))})).one_or_none()
    return Counted(*row) if row is not None else None


async def tell(writer: TaskWriter, task_id: uuid.UUID, waiting: str | None, new: Sequence[NewEvent]) -> Sequence[Event]:
    """Note what the task waits for, unless it is noted already; the events to publish."""
    values = {"task_id": task_id, "waiting": waiting, "events": payload(new)}
    rows = await writer.connections.rows(_TELL, values)
    if not rows:
        return ()
    first_seq, at = rows[0]
    return numbered(task_id, first_seq, at, new)


async def waiting_for_agents(database: Database, agents: Sequence[str]) -> Sequence[str]:
    """Ids of the workflows of tasks that wait before one of these agents works on them, the oldest first.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.autocommit() as connection:
        return (await connection.execute(_WAITING, {"agents": list(agents)})).scalars().all()
