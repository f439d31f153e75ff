"""What is under way in tasks that a rollout waits for."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, text

from pavo.kit.sql import Database
from pavo.runs.kinds import InFlight
from pavo.tasks import domain as d

_FIND: Final = text("""
SELECT t.id, t.workflow_id, t.title, t.agent_type, t.stage, e.step, e.plan_step, s.at,
    e.waiting IS NULL AND (t.stage = 'PLANNING' OR e.holder IS NOT NULL) AS at_work
FROM tasks t JOIN executions e ON e.task_id = t.id
LEFT JOIN LATERAL (
    SELECT v.at FROM events v
    WHERE v.timeline_id = t.id AND v.type IN ('tick', 'stage', 'recovered', 'retry') ORDER BY v.seq DESC LIMIT 1
) s ON true
WHERE t.workflow_id = ANY(:workflows) AND t.deleted_at IS NULL AND t.stage IN ('PLANNING', 'EXECUTING')
ORDER BY s.at
""")


async def in_flight(database: Database, workflow_ids: Sequence[str]) -> Sequence[InFlight]:
    """What is under way in these tasks, that which lasts longest first.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.autocommit() as connection:
        rows = (await connection.execute(_FIND, {"workflows": list(workflow_ids)})).all()
    return [_in_flight(row) for row in rows]


def _in_flight(row: Row[Any]) -> InFlight:
    named = row.id, row.workflow_id, row.title, row.agent_type
    return InFlight("task", *named, _doing(row), row.step, row.plan_step, row.at)


def _doing(row: Row[Any]) -> str:
    if not row.at_work:
        return "waiting"
    return "planning" if row.stage == d.PLANNING else "step"
