"""What is asked of a task before a worker takes an attempt of it, and what the task is said to wait for."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database
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

    @property
    def group(self) -> tuple[str, uuid.UUID]:
        """The tasks with which it shares places."""
        return self.agent_type, self.organisation_id


_FIND: Final = """
SELECT t.agent_type, t.organisation_id, e.deaths, e.waiting, e.worker, t.workflow_id,
    coalesce(t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND e.holder = e.worker), false) AS in_flight
FROM tasks t JOIN executions e ON e.task_id = t.id
WHERE t.id = %(task_id)s AND t.deleted_at IS NULL
"""

_APPLY: Final = """
WITH before AS (
    SELECT t.agent_type, t.organisation_id, e.deaths, e.waiting, e.worker, t.workflow_id,
        coalesce(t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND e.holder = e.worker), false) AS in_flight
    FROM tasks t JOIN executions e ON e.task_id = t.id
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL FOR UPDATE OF e
), noted AS (
    UPDATE executions e SET worker = CASE WHEN before.deaths = 0 THEN %(worker)s END FROM before
    WHERE e.task_id = %(task_id)s
)
SELECT * FROM before
"""

_NOTE: Final = "UPDATE executions SET worker = %(worker)s WHERE task_id = %(task_id)s RETURNING 1"

_COUNT: Final = text("""
UPDATE executions e SET deaths = e.deaths + 1, failure = CAST(:failure AS jsonb) FROM tasks t
WHERE t.id = :task_id AND e.task_id = t.id AND t.deleted_at IS NULL AND t.stage IN ('PLANNING', 'EXECUTING')
  AND (:worker = '' OR left(e.worker, :length) = :worker)
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


async def note_worker(writer: TaskWriter, task_id: uuid.UUID) -> None:
    """Note that this process works on the task."""
    await writer.connections.rows(_NOTE, {"task_id": task_id, "worker": writer.holder})


async def count_end(database: Database, task_id: uuid.UUID, worker: str, failure: Mapping[str, str]) -> None:
    """Count that the task's agent ended its process at what is done next, if this worker has its attempt.

    Args:
        worker: how the names of its leases begin; empty: whoever has it.
        failure: type, cause and remedy of that end.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    values = {"task_id": task_id, "failure": encode_text(dict(failure)), "worker": worker, "length": len(worker)}
    async with database.autocommit() as connection:
        await connection.execute(_COUNT, values)


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
