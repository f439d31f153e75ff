"""What is reserved for calls of which nothing comes any more: counted by the estimates, and given back.

The next attempt at a task sees to that itself (`budgets.reserve`); one that has ended, or is never resumed, has none.
"""

import uuid
from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.sql import Database

ENDED_FOR: Final = timedelta(minutes=20)
"""So long after its task's end a call may still be under way, and a resumed task join it."""
LONGEST_CALL: Final = timedelta(hours=25)
"""No call lasts longer, for PAVO_LLM_SECONDS is a day at most: what is older was cut, whatever became of its task."""
_AT_ONCE: Final = 200

_FIND: Final = text("""
SELECT r.task_id, max(coalesce(t.updated_at, pavo_now() - CAST(:longest AS interval)))
FROM budget_reservations r LEFT JOIN (
    SELECT id, updated_at FROM tasks WHERE stage IN ('DONE', 'FAILED', 'STOPPED')
    UNION ALL
    SELECT id, updated_at FROM jobs WHERE stage IN ('DONE', 'FAILED', 'CANCELLED')
) t ON t.id = r.task_id AND t.updated_at < pavo_now() - CAST(:ended AS interval)
WHERE r.at < coalesce(t.updated_at, pavo_now() - CAST(:longest AS interval))
GROUP BY r.task_id LIMIT :count
""")
_ABANDON: Final = text("SELECT budget_abandon(:task, CAST(:before AS timestamptz))")


async def count_abandoned(database: Database) -> int:
    """One round over all organisations, a transaction for each task; how many calls were counted.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    bounds = {"longest": LONGEST_CALL, "ended": ENDED_FOR, "count": _AT_ONCE}
    async with database.reading() as session:
        found = (await session.execute(_FIND, bounds)).all()
    counted = 0
    for task_id, before in found:
        async with database.transaction() as session:
            # What a task that is resumed in this moment reserves is younger, and stays.
            counted += (await session.scalars(_ABANDON, {"task": task_id, "before": before})).one()
    return counted


async def count_all(session: AsyncSession, task_id: uuid.UUID) -> None:
    """Of a task that is deleted in the caller's transaction: no attempt can settle any more."""
    await session.execute(_ABANDON, {"task": task_id, "before": "infinity"})


async def count_older(session: AsyncSession, subject_id: uuid.UUID, age: timedelta) -> None:
    """Of a subject that has no attempts: calls that have been under way for longer than this were cut."""
    before = text("SELECT budget_abandon(:task, pavo_now() - CAST(:age AS interval))")
    await session.execute(before, {"task": subject_id, "age": age})
