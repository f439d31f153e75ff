"""In which stages tasks are, and what came of those that are over."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import NotFound
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import DocumentRow, TaskRow

_COUNT = select(TaskRow.stage, func.count()).where(TaskRow.deleted_at.is_(None)).group_by(TaskRow.stage)


async def tasks_by_stage(database: Database) -> dict[str, int]:
    """How many tasks are in each stage, deleted ones left out; one query on an index.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        found = {stage: count for stage, count in await session.execute(_COUNT)}
    return {stage: found.get(stage, 0) for stage in d.STAGES}


async def outcome_of(session: AsyncSession, task_id: uuid.UUID) -> tuple[str, str | None, str | None]:
    """Its stage, its report where it is done, and why it is not where it is not.

    Raises:
        NotFound: it is gone.
    """
    task = await session.get(TaskRow, task_id)
    if task is None or task.deleted_at is not None:
        raise NotFound(f"There is no task {task_id}.", field="task_id")
    if task.stage == d.DONE:
        mine = (DocumentRow.task_id == task_id, DocumentRow.kind == repository.REPORT)
        newest = select(DocumentRow.body).where(*mine).order_by(DocumentRow.version.desc()).limit(1)
        return task.stage, (await session.scalars(newest)).one_or_none() or "", None
    told: Mapping[str, Any] = task.error or {}
    return task.stage, None, str(told.get("cause") or "somebody stopped it")
