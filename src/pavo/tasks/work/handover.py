"""Which tasks a worker holds: whoever takes over from it fails their attempts at once."""

from collections.abc import Sequence

from sqlalchemy import text

from pavo.kit.sql import Database

_HELD = text("""
SELECT t.workflow_id FROM tasks t JOIN executions e ON e.task_id = t.id
WHERE t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND left(e.holder, :length) = :holder)
ORDER BY t.updated_at DESC LIMIT 1000
""")
"""Plain SQL: a worker that takes over has no time to compile a query. Who plans is nowhere written."""


async def held_by(database: Database, holder: str) -> Sequence[str]:
    """Ids of the workflows whose attempts a worker may hold.

    Args:
        holder: how the names of its leases begin.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.autocommit() as connection:
        return (await connection.execute(_HELD, {"holder": holder, "length": len(holder)})).scalars().all()
