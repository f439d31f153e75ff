"""How many tasks are in which stage, for the metrics."""

from sqlalchemy import func, select

from pavo.kit.sql import Database
from pavo.tasks.domain import STAGES
from pavo.tasks.sql.models import TaskRow

_COUNT = select(TaskRow.stage, func.count()).where(TaskRow.deleted_at.is_(None)).group_by(TaskRow.stage)


async def tasks_by_stage(database: Database) -> dict[str, int]:
    """How many tasks are in each stage, deleted ones left out; one query on an index.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        found = {stage: count for stage, count in await session.execute(_COUNT)}
    return {stage: found.get(stage, 0) for stage in STAGES}
