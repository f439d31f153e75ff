"""SQL of the removal of jobs and of old logs, in batches. Works in its caller's transaction.

`HOLDINGS` is the one list of what holds anything of a job, apart from what goes with the head of its timeline. In the
end one row without content remains: for the answers to late viewers (204), and for Idempotency-Keys, which point to it.
Where an agent has yet to clean up after an attempt, that attempt remains until it has.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import events
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.usage.abandoned import count_all


@dataclass(frozen=True, slots=True)
class Holding:
    """A table that holds something of a job."""

    table: str
    key: str
    """The column with the job's id; it has an index."""
    batch: int
    """Rows of one transaction."""
    rows: str = "true"
    """Which of them."""
    set: str = ""
    """What is set in rows that stay without the job; empty: they are deleted."""
    watched: bool = False
    """Whether it goes only once those who follow have had time to see the end."""


HOLDINGS: Final = (
    Holding("job_logs", "job_id", 500),
    # Requests and results have up to 1 MB.
    Holding("job_commands", "job_id", 20),
    Holding("job_attempts", "job_id", 100, rows="NOT (cleanup_owed AND agent_id IS NOT NULL)"),
    Holding("job_model_tokens", "job_id", 100),
    Holding("budget_reservations", "task_id", 500),
    Holding("budgets", "task_id", 500),
    # What was paid for stays, without the job: its organisation's budgets and bills count it.
    Holding("usage_calls", "task_id", 500, set="task_id = NULL"),
    Holding("gates", "subject_id", 100),
    # What is not delivered yet is, that of the removal too.
    Holding("webhook_deliveries", "task_id", 500, rows="state <> 'pending'"),
    Holding("model_calls", "subject_id", 50),
    Holding("tool_calls", "subject_id", 100),
    Holding("transcript_messages", "subject_id", 50),
    # Content goes when nothing names it any more: a trigger notes it for `artifacts.sweeping`.
    Holding("artifacts", "subject_id", 500),
    Holding(
        *("events", "timeline_id", 500),
        rows="seq < (SELECT last_seq FROM timelines WHERE id = :job)",
        watched=True,
    ),
    # The head takes its last event along, and whatever else belongs to it.
    Holding("timelines", "id", 1, watched=True),
)
"""In the order in which they are emptied."""

_DELETE: Final = {
    each.table: text(f"""
{f"UPDATE {each.table} SET {each.set}" if each.set else f"DELETE FROM {each.table}"} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {each.table} WHERE {each.key} = :job AND {each.rows} LIMIT :batch
))""")
    for each in HOLDINGS
}
_BLANK: Final = text("""
WITH declined AS (UPDATE job_attempts SET late_work = 'declined' WHERE job_id = :job AND late_work = 'owed')
UPDATE jobs SET title = '', prompt = '', options = '{}', feedback = '', error = NULL, branch = '', commit = NULL,
    labels = '{}', pull_request_url = NULL, pull_request_number = NULL, pull_request_state = NULL,
    comments_seen = '{}', forge_tags = '{}', deleted_at = pavo_now(), updated_at = pavo_now()
WHERE id = :job
""")
_LEFT: Final = text("""
SELECT id, deleted_at < pavo_now() - CAST(:age AS interval) AS unwatched FROM jobs
WHERE deleted_at IS NOT NULL AND removed_at IS NULL ORDER BY deleted_at LIMIT :count
""")
# One at a time: a second remover would take a table for empty whose rows the first is deleting.
_MINE: Final = text("""
SELECT 1 FROM jobs WHERE id = :job AND deleted_at IS NOT NULL AND removed_at IS NULL FOR UPDATE SKIP LOCKED
""")
_REMOVED: Final = text("UPDATE jobs SET removed_at = pavo_now() WHERE id = :job")
_OLD: Final = text("""
SELECT id FROM jobs WHERE ended_at < pavo_now() - CAST(:kept AS interval) AND log_removed_at IS NULL
ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_LOG_REMOVED: Final = text("UPDATE jobs SET log_removed_at = pavo_now() WHERE id = :job")


@dataclass(frozen=True, slots=True)
class Left:
    """A deleted job of which something is left."""

    job_id: uuid.UUID
    unwatched: bool
    """Whether those who follow have had time to see the end."""


async def bury(session: AsyncSession, job_id: uuid.UUID) -> Sequence[Event]:
    """Make a tombstone of a job that is over and whose row is locked; what is to be published after commit."""
    await session.execute(_BLANK, {"job": job_id})
    await count_all(session, job_id)
    return await timeline.append(session, job_id, [events.deleted()], close=True)


async def left(session: AsyncSession, age: timedelta, count: int) -> Sequence[Left]:
    """So many deleted jobs of which something is left, the oldest first."""
    rows = await session.execute(_LEFT, {"age": age, "count": count})
    return [Left(row.id, row.unwatched) for row in rows]


async def empty_some(session: AsyncSession, job_id: uuid.UUID, *, unwatched: bool) -> bool | None:
    """Delete what a deleted job held until a batch is full; whether all is gone, None: somebody else is at it."""
    if (await session.execute(_MINE, {"job": job_id})).one_or_none() is None:
        return None
    for each in HOLDINGS:
        if each.watched and not unwatched:
            return True
        result: Any = await session.execute(_DELETE[each.table], {"job": job_id, "batch": each.batch})
        if result.rowcount >= each.batch and each.table != "timelines":
            return False
    await session.execute(_REMOVED, {"job": job_id})
    return True


async def remove_some_log(session: AsyncSession, kept: timedelta) -> bool:
    """Delete a batch of the log of a job that ended so long ago; whether there was such a job."""
    job_id = (await session.scalars(_OLD, {"kept": kept})).one_or_none()
    if job_id is None:
        return False
    logs = HOLDINGS[0]
    result: Any = await session.execute(_DELETE[logs.table], {"job": job_id, "batch": logs.batch})
    if result.rowcount < logs.batch:
        await session.execute(_LOG_REMOVED, {"job": job_id})
    return True
