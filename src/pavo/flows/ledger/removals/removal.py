"""SQL of the removal of runs, in batches. Works in its caller's transaction.

`HOLDINGS` is the one list of what holds anything of a run, apart from what goes with the head of its timeline. In the
end one row without content remains: for the answers to late viewers (204), and for Idempotency-Keys, which point to it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.flows.ledger import events
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event


@dataclass(frozen=True, slots=True)
class Holding:
    """A table that holds something of a run."""

    table: str
    key: str
    """The column with the run's id; it has an index."""
    batch: int
    """Rows of one transaction."""
    rows: str = "true"
    """Which of them."""
    watched: bool = False
    """Whether it goes only once those who follow have had time to see the end."""


HOLDINGS: Final = (
    # Outputs have up to 1 MB, and so have the lists of decisions.
    Holding("flow_results", "run_id", 50),
    Holding("flow_decisions", "run_id", 50),
    Holding("gates", "subject_id", 100),
    Holding(
        *("events", "timeline_id", 500),
        rows="seq < (SELECT last_seq FROM timelines WHERE id = :run)",
        watched=True,
    ),
    # The head takes its last event along.
    Holding("timelines", "id", 1, watched=True),
)
"""In the order in which they are emptied."""

_DELETE: Final = {
    each.table: text(f"""
DELETE FROM {each.table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {each.table} WHERE {each.key} = :run AND {each.rows} LIMIT :batch
))""")
    for each in HOLDINGS
}
_BLANK: Final = text(
    "UPDATE flow_runs SET inputs = '{}', result = NULL, error = NULL, deleted_at = pavo_now() WHERE id = :run"
)
_LEFT: Final = text("""
SELECT id, deleted_at < pavo_now() - CAST(:age AS interval) AS unwatched FROM flow_runs
WHERE deleted_at IS NOT NULL AND removed_at IS NULL ORDER BY deleted_at LIMIT :count
""")
# One at a time: a second remover would take a table for empty whose rows the first is deleting.
_MINE: Final = text("""
SELECT 1 FROM flow_runs WHERE id = :run AND deleted_at IS NOT NULL AND removed_at IS NULL FOR UPDATE SKIP LOCKED
""")
_REMOVED: Final = text("UPDATE flow_runs SET removed_at = pavo_now() WHERE id = :run")


@dataclass(frozen=True, slots=True)
class LeftRun:
    """A removed run of which something is left."""

    run_id: uuid.UUID
    unwatched: bool
    """Whether those who follow have had time to see the end."""


async def bury(session: AsyncSession, run_id: uuid.UUID) -> Sequence[Event]:
    """Make a tombstone of a run that is over and whose row is locked; what is to be published after commit."""
    await session.execute(_BLANK, {"run": run_id})
    return await timeline.append(session, run_id, [events.deleted()], close=True)


async def left(session: AsyncSession, age: timedelta, count: int) -> Sequence[LeftRun]:
    """So many removed runs of which something is left, the oldest first."""
    rows = await session.execute(_LEFT, {"age": age, "count": count})
    return [LeftRun(row.id, row.unwatched) for row in rows]


async def empty_some(session: AsyncSession, run_id: uuid.UUID, *, unwatched: bool) -> bool | None:
    """Delete what a removed run held until a batch is full; whether all is gone, None: somebody else is at it."""
    if (await session.execute(_MINE, {"run": run_id})).one_or_none() is None:
        return None
    for each in HOLDINGS:
        if each.watched and not unwatched:
            return True
        result: Any = await session.execute(_DELETE[each.table], {"run": run_id, "batch": each.batch})
        if result.rowcount >= each.batch and each.table != "timelines":
            return False
    await session.execute(_REMOVED, {"run": run_id})
    return True
