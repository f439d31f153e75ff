"""What came of tasks, for whoever has them done and is no agent."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import NotFound
from pavo.tasks import domain as d
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import DocumentRow, TaskRow


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
