"""The logs of tasks: what their agents printed, in chunks with a cursor of their own.

No events: a timeline's head is locked for each, and every viewer gets it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.sql import KeptConnection

MAX_TASK_BYTES: Final = 2_000_000
"""Of one task's log: the newest stay."""
MAX_CHUNK_BYTES: Final = 16_000
"""Of one row, so that pages are bounded."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Some output, before it is stored."""

    task_id: uuid.UUID
    attempt: int
    body: str


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some output of one attempt."""

    id: int
    at: datetime
    attempt: int
    body: str
    after_gap: bool
    """Whether older output was removed before it."""


# A deleted task has no execution. The lock makes the deletion wait, which then removes what is inserted here.
_ADD: Final = """
INSERT INTO task_logs (task_id, attempt, body, bytes)
SELECT e.task_id, g.attempt, g.body, octet_length(g.body)
FROM unnest(CAST(%(task_ids)s AS uuid[]), CAST(%(attempts)s AS bigint[]), CAST(%(bodies)s AS text[]))
    WITH ORDINALITY AS g(task_id, attempt, body, number)
JOIN executions e ON e.task_id = g.task_id
ORDER BY g.number
FOR KEY SHARE OF e
RETURNING id
"""

_TRIM: Final = """
WITH sized AS (
    SELECT id, sum(bytes) OVER (ORDER BY id DESC) AS so_far FROM task_logs WHERE task_id = %(task_id)s
), gone AS (
    DELETE FROM task_logs WHERE id IN (SELECT id FROM sized WHERE so_far > %(limit)s) RETURNING id
)
UPDATE task_logs SET after_gap = true
WHERE id = (SELECT min(id) FROM sized WHERE so_far <= %(limit)s) AND EXISTS (SELECT 1 FROM gone)
RETURNING id
"""

_PAGE = text("""
SELECT id, at, attempt, body, after_gap FROM (
    SELECT l.*, sum(bytes) OVER (ORDER BY id) AS so_far, row_number() OVER (ORDER BY id) AS number FROM (
        SELECT * FROM task_logs WHERE task_id = :task_id AND id > :after ORDER BY id LIMIT 1000
    ) l
) sized WHERE so_far <= :bytes OR number = 1 ORDER BY id
""")


async def add_chunks(connection: KeptConnection, chunks: Sequence[NewChunk]) -> None:
    """Store output of any tasks; that of deleted ones is dropped."""
    values = {
        "task_ids": [chunk.task_id for chunk in chunks],
        "attempts": [chunk.attempt for chunk in chunks],
        "bodies": [chunk.body for chunk in chunks],
    }
    await connection.rows(_ADD, values)


async def trim(connection: KeptConnection, task_id: uuid.UUID, limit: int = MAX_TASK_BYTES) -> None:
    """Remove the oldest output beyond the limit."""
    await connection.rows(_TRIM, {"task_id": task_id, "limit": limit})


async def page(session: AsyncSession, task_id: uuid.UUID, after: int, size: int) -> list[LogChunk]:
    """The chunks after this one, oldest first, as many as fit so many bytes, but one at least."""
    rows = await session.execute(_PAGE, {"task_id": task_id, "after": after, "bytes": size})
    return [LogChunk(*row) for row in rows]
