"""SQL of what people say to a task."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.tasks import domain as d
from pavo.tasks.sql.models import MessageRow, TaskRow

MAX_SEQ = 2**63 - 1
"""Of PostgreSQL's bigint."""


async def said_after(session: AsyncSession, task_id: uuid.UUID, after: int) -> Sequence[MessageRow]:
    """What the agent reads after this number, in the order of the timeline."""
    query = (
        select(MessageRow)
        .where(MessageRow.task_id == task_id, MessageRow.seq > min(max(after, 0), MAX_SEQ))
        .order_by(MessageRow.seq)
    )
    return (await session.scalars(query)).all()


async def said(session: AsyncSession, message_id: uuid.UUID) -> MessageRow | None:
    """One message."""
    return await session.get(MessageRow, message_id)


async def forget(session: AsyncSession, message_id: uuid.UUID) -> None:
    """Take away what was withdrawn where it was put."""
    await session.execute(delete(MessageRow).where(MessageRow.id == message_id))


async def amount(session: AsyncSession, task_id: uuid.UUID) -> tuple[int, int]:
    """How many messages the agent has to read, and their bytes together."""
    size = func.coalesce(func.sum(func.octet_length(MessageRow.body)), 0)
    query = select(func.count(), size).where(MessageRow.task_id == task_id, MessageRow.seq.is_not(None))
    count, total = (await session.execute(query)).one()
    return count, total


async def extend_prompt(session: AsyncSession, task: TaskRow, body: str) -> None:
    """Add a paragraph to the prompt of a task whose row is locked."""
    task.prompt = f"{task.prompt}\n\n{body}" if task.prompt else body
    task.edits = d.edits_after(task.stage, task.edits)
    task.updated_at = func.pavo_now()
    await session.flush()
