"""What is asked of a task before a worker takes an attempt of it, and what the task is said to wait for."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text

from pavo.kit.json_values import encode_text, fingerprint
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql.lease import Beginnings
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.timeline import service as timeline
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
    beginnings: int = 0
    """How often its agent began again at the checkpoint that it has, the last time after the end of its process."""

    @property
    def counted(self) -> "Counted":
        """What counts against its agent."""
        return Counted(self.deaths, self.beginnings)

    @property
    def group(self) -> tuple[str, uuid.UUID]:
        """The tasks with which it shares places."""
        return self.agent_type, self.organisation_id


@dataclass(frozen=True, slots=True)
class Counted:
    """The ends of processes that count against a task's agent."""

    deaths: int
    beginnings: int
    """At the checkpoint that it has; 0 while it plans."""
    recorded: Sequence[Event] = ()
    """What was told of the last one."""

    @property
    def ends(self) -> int:
        """So many may be its work, and it has not got away from there since."""
        return max(self.deaths, self.beginnings)

    @property
    def too_many(self) -> bool:
        """Whether it is given up."""
        return self.deaths >= d.MAX_DEATHS or self.beginnings >= d.MAX_BEGINNINGS


_APPLICANT: Final = """
SELECT t.agent_type, t.organisation_id, e.deaths, e.waiting, e.worker, t.workflow_id,
    coalesce(t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND e.holder = e.worker), false) AS in_flight,
    e.begun_at, e.beginnings,
    CASE WHEN e.beginnings > 0 AND e.failure ->> 'type' = 'AgentDied' THEN e.checkpoint END AS checkpoint
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
    UPDATE executions e SET worker = CASE WHEN before.deaths = 0 THEN %(worker)s END FROM before
    WHERE e.task_id = %(task_id)s
)
SELECT * FROM before
"""

_NOTE: Final = "UPDATE executions SET worker = %(worker)s WHERE task_id = %(task_id)s RETURNING 1"

_ENDED: Final = text("""
SELECT t.stage, e.step, e.checkpoint, e.begun_at, e.beginnings FROM executions e JOIN tasks t ON t.id = e.task_id
WHERE t.id = :task_id AND t.deleted_at IS NULL AND t.stage IN ('PLANNING', 'EXECUTING')
  AND (:worker = '' OR left(e.worker, :length) = :worker)
FOR UPDATE OF e
""")

_COUNT: Final = text("""
UPDATE executions SET deaths = deaths + 1, failure = CAST(:failure AS jsonb), begun_at = :begun_at,
    beginnings = :beginnings
WHERE task_id = :task_id RETURNING deaths
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
    return _applicant(task_id, rows[0]) if rows and task_id else None


async def apply(writer: TaskWriter, task_id: uuid.UUID) -> Applicant | None:
    """The same, and note that this process takes the attempt.

    Not of one that has counted deaths: it may be handed back, and whoever ends the worker meanwhile must not count
    against it. Once it is admitted, `note_worker` notes it.
    """
    rows = await writer.connections.rows(_APPLY, {"task_id": task_id, "worker": writer.holder})
    return _applicant(task_id, rows[0]) if rows else None


def _applicant(task_id: uuid.UUID, row: Sequence[Any]) -> Applicant:
    *known, begun_at, beginnings, checkpoint = row
    again = beginnings if checkpoint is not None and fingerprint(checkpoint) == begun_at else 0
    return Applicant(task_id, *known, beginnings=again)


async def note_worker(writer: TaskWriter, task_id: uuid.UUID) -> None:
    """Note that this process works on the task."""
    await writer.connections.rows(_NOTE, {"task_id": task_id, "worker": writer.holder})


async def count_end(database: Database, task_id: uuid.UUID, worker: str, failure: Mapping[str, str]) -> Counted | None:
    """Count that the task's agent ended its process at what is done next, if this worker has its attempt.

    As the end of an isolated one: it is a death there, and one more beginning at its checkpoint, of which people are
    told. None: nothing was counted.

    Args:
        worker: how the names of its leases begin; empty: whoever has it.
        failure: type, cause and remedy of that end.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    values = {"task_id": task_id, "worker": worker, "length": len(worker)}
    async with database.transaction() as session:
        row = (await session.execute(_ENDED, values)).one_or_none()
        if row is None:
            return None
        again, new = Beginnings(row.begun_at, row.beginnings), list[NewEvent]()
        if row.stage == d.EXECUTING:
            again = again.after_end(fingerprint(row.checkpoint))
            if again.count % d.WARNED_BEGINNINGS == 0 and again.count < d.MAX_BEGINNINGS:
                new.append(events.no_progress(row.step, again.count, failure["cause"]))
        values = {"task_id": task_id, "failure": encode_text(dict(failure))}
        values |= {"begun_at": again.at, "beginnings": again.count}
        deaths = (await session.execute(_COUNT, values)).scalar_one()
        recorded = await timeline.append(session, task_id, new)
    return Counted(deaths, again.count if row.stage == d.EXECUTING else 0, recorded)


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
