"""The removal of a task: a tombstone at once, and everything that the database holds of it, in batches.

`HOLDINGS` is the one list of the tables that hold anything of a task; a slice that adds a table adds it here. Each
transaction deletes a bounded number of rows, so that nothing is locked for long and no burst of WAL follows. A removal
that dies half-way is finished by the next round of the reconciler: the table `removals`, which a trigger on
`tasks.deleted_at` fills, says what is left to do. In the end one row without content remains: for the answers to late
viewers (204), and for Idempotency-Keys, which point to it.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import PavoError, Unavailable
from pavo.kit.sql import Database
from pavo.tasks import events
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.usage.abandoned import count_all

logger = logging.getLogger(__name__)

VIEWERS_LEAVE: Final = timedelta(seconds=10)
"""How long those who follow a task have to see its end: so long its timeline stays."""
BATCHES_AT_ONCE: Final = 20
"""Transactions of one deletion at most, so that its answer comes soon; the reconciler does the rest."""
BATCHES_OF_A_ROUND: Final = 400
"""Transactions of one round of the reconciler at most; the next one goes on."""


class When(Enum):
    """When the rows of a table go."""

    BLANKED = "in the transaction that deletes the task; the row stays, without content"
    WITH_THE_TOMBSTONE = "in that transaction too: one row"
    AT_ONCE = "in batches, right after that"
    AFTER_VIEWERS = "in batches, once those who follow have had time to see the end"
    LAST = "the note that there is something left to remove"


@dataclass(frozen=True, slots=True)
class Holding:
    """A table that holds something of a task."""

    table: str
    key: str
    """The column with the task's id; it has an index."""
    when: When
    batch: int = 500
    """Rows of one transaction. An event has at most 64 KB, a message of a transcript 256 KB, a document 1 MB."""
    rows: str = "true"
    """Which of them, where some are left to another statement."""
    order: str = "1"
    """The order, where it matters."""
    set: str = ""
    """What is set in rows that stay without the task; empty: they are deleted."""


HOLDINGS: Final = (
    Holding("tasks", "id", When.BLANKED),
    # Without it no attempt holds a lease, and none can record anything.
    Holding("executions", "task_id", When.WITH_THE_TOMBSTONE),
    # Of what was said; that of the task itself stays, to say that it exists no more.
    Holding("idempotency_keys", "task_id", When.AT_ONCE, rows="kind <> 'task'"),
    Holding("messages", "task_id", When.AT_ONCE),
    Holding("follow_ups", "task_id", When.AT_ONCE),
    # Of the tasks that it delegated, which are deleted with it, and before it.
    Holding("delegations", "parent_id", When.AT_ONCE, batch=20),
    Holding("gates", "subject_id", When.AT_ONCE, batch=100),
    Holding("tool_calls", "subject_id", When.AT_ONCE, batch=100),
    Holding("tool_policies", "subject_id", When.AT_ONCE),
    Holding("transcript_messages", "subject_id", When.AT_ONCE, batch=50),
    Holding("budget_asks", "task_id", When.AT_ONCE),
    Holding("budget_reservations", "task_id", When.AT_ONCE),
    Holding("budgets", "task_id", When.AT_ONCE),
    # What was paid for stays, without the task: its organisation's budgets and bills count it.
    Holding("usage_calls", "task_id", When.AT_ONCE, set="task_id = NULL"),
    Holding("usage_attempts", "task_id", When.AT_ONCE, set="task_id = NULL"),
    # Content goes when nothing names it any more: a trigger notes it for `artifacts.sweeping`.
    Holding("artifacts", "subject_id", When.AT_ONCE),
    Holding("gateway_tokens", "task_id", When.AT_ONCE),
    Holding("model_calls", "subject_id", When.AT_ONCE, batch=50),
    Holding("task_logs", "task_id", When.AT_ONCE, batch=100),
    # Comments refer to documents, and go before them.
    Holding("feedback", "task_id", When.AT_ONCE),
    Holding("documents", "task_id", When.AT_ONCE, batch=50),
    # What waits is still delivered, for it is promised; it holds ids alone, and the log ends after 30 days.
    Holding("webhook_deliveries", "task_id", When.AT_ONCE, rows="state <> 'pending'"),
    # The last event is `deleted`. The head takes it along, so that who still follows finds an end, never an empty
    # timeline that was to have events.
    Holding(
        *("events", "timeline_id", When.AFTER_VIEWERS),
        rows="seq < (SELECT last_seq FROM timelines WHERE id = :task_id)",
        order="seq",
    ),
    Holding("timelines", "id", When.AFTER_VIEWERS),
    Holding("removals", "task_id", When.LAST),
)
"""All tables that hold anything of a task, in the order in which they are emptied."""

_BLANK = text("""
UPDATE tasks SET title = '', prompt = '', agent_options = '{}', error = NULL, receipt = NULL,
    deleted_at = coalesce(deleted_at, pavo_now()), updated_at = coalesce(deleted_at, pavo_now())
WHERE id = :task_id
""")


def _statement(holding: Holding) -> Any:
    if holding.when is When.BLANKED:
        return _BLANK
    change = f"UPDATE {holding.table} SET {holding.set}" if holding.set else f"DELETE FROM {holding.table}"
    return text(f"""
{change} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {holding.table} WHERE {holding.key} = :task_id AND {holding.rows} ORDER BY {holding.order}
    LIMIT :batch
))""")


_STATEMENTS: Final = {holding.table: _statement(holding) for holding in HOLDINGS}
_LEFT = text("""
SELECT task_id, since < pavo_now() - CAST(:age AS interval) AS unwatched
FROM removals ORDER BY since LIMIT :count
""")


async def bury(session: AsyncSession, task_id: uuid.UUID) -> list[Event]:
    """Make a tombstone of a task whose row the caller has locked; answers the event to publish after commit.

    Its timeline is closed, whoever holds a lease has lost it, and the row keeps no content.
    """
    await _batch(session, task_id, _of(When.BLANKED, When.WITH_THE_TOMBSTONE))
    await count_all(session, task_id)
    return await timeline.append(session, task_id, [events.deleted()], close=True)


async def begin(database: Database, task_id: uuid.UUID) -> None:
    """Remove what a deleted task held, as far as that can be done at once; without PostgreSQL the
    reconciler does it."""
    try:
        await _empty(database, task_id, _of(When.AT_ONCE), BATCHES_AT_ONCE)
    except Unavailable as error:
        logger.info("The removal of task %s goes on later: %s", task_id, error)


_MINE = text("SELECT 1 FROM removals WHERE task_id = :task_id FOR UPDATE SKIP LOCKED")
"""One at a time: a second remover would find rows that the first has deleted, take a table for empty, and go on with
the head, which takes all events along in one transaction."""
_DELETED: Final = text("SELECT id FROM tasks WHERE id = ANY(:task_ids) AND deleted_at IS NOT NULL")


async def go_on(database: Database, *, age: timedelta = VIEWERS_LEAVE, batches: int = BATCHES_OF_A_ROUND) -> int:
    """Go on with what is left to remove, oldest first; answers how many removals were finished.

    Args:
        age: how long ago a task must have been deleted for its timeline to go too.
        batches: transactions at most.

    Raises:
        Unavailable: PostgreSQL is away; what was removed until then stays removed.
    """
    async with database.reading() as session:
        left = (await session.execute(_LEFT, {"age": age, "count": batches})).all()
    finished, failure = 0, None
    for task_id, unwatched in left:
        # A build before this one left more behind than this one's tombstone does.
        wanted = _of(*When) if unwatched else _of(When.AT_ONCE)
        try:
            batches, done = await _empty(database, task_id, wanted, batches)
        except PavoError:
            raise
        except Exception as error:
            logger.error("What is left of task %s cannot be removed", task_id, exc_info=error)
            failure = failure or error
            continue
        finished += unwatched and done
        if batches <= 0:
            break
    if failure is not None:
        raise failure
    return finished


async def deleted_among(database: Database, task_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Which of these tasks were deleted; of those that this database does not know, it says nothing.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        return (await session.scalars(_DELETED, {"task_ids": list(task_ids)})).all()


def _of(*wanted: When) -> Sequence[Holding]:
    return [holding for holding in HOLDINGS if holding.when in wanted]


async def _empty(database: Database, task_id: uuid.UUID, steps: Sequence[Holding], batches: int) -> tuple[int, bool]:
    """How many of the batches are left, and whether nothing of what was to go is there any more."""
    while steps:
        if batches <= 0:
            return 0, False
        async with database.transaction() as session:
            if (await session.execute(_MINE, {"task_id": task_id})).one_or_none() is None:
                return batches, False  # somebody else is at it, or it is over
            # As far as one transaction reaches: what is emptied by a batch that was not full takes the next with it.
            steps = await _batch(session, task_id, steps)
        batches -= 1
    return batches, True


async def _batch(session: AsyncSession, task_id: uuid.UUID, steps: Sequence[Holding]) -> Sequence[Holding]:
    """Delete until a batch is full; what is still to be emptied."""
    for number, holding in enumerate(steps):
        result: Any = await session.execute(_STATEMENTS[holding.table], {"task_id": task_id, "batch": holding.batch})
        if result.rowcount >= holding.batch:
            return steps[number:]
    return ()
