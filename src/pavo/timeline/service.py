"""What other slices call: append in their transaction, read, and where a timeline stands."""

import uuid
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.timeline import repository
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.repository import BEGIN, Head, begin_values

__all__ = [
    "BEGIN",
    "Event",
    "Head",
    "NewEvent",
    "append",
    "append_once",
    "begin_values",
    "create",
    "head",
    "read_after",
    "remove",
]

create = repository.create


async def append(
    session: AsyncSession, timeline_id: uuid.UUID, events: Sequence[NewEvent], *, close: bool = False
) -> list[Event]:
    """Append in the caller's transaction; publish the answer after commit. Nothing to append: nothing done."""
    if not events:
        return []
    return await repository.append(session, timeline_id, events, close=close)


async def append_once(session: AsyncSession, timeline_id: uuid.UUID, event: NewEvent, *, since: str) -> list[Event]:
    """Append unless the very same event came after the newest one of type `since`.

    The caller holds a lock that orders those who would append it.
    """
    if await repository.is_told(session, timeline_id, event, since):
        return []
    return await append(session, timeline_id, [event])


async def read_after(session: AsyncSession, timeline_id: uuid.UUID, after: int, limit: int) -> list[Event]:
    """The events after number `after`, oldest first, at most `limit`."""
    return await repository.read_after(session, timeline_id, after, limit)


async def head(session: AsyncSession, timeline_id: uuid.UUID) -> Head | None:
    """Where the timeline stands; None when it does not exist."""
    return (await repository.heads(session, [timeline_id])).get(timeline_id)


async def remove(session: AsyncSession, timeline_id: uuid.UUID) -> None:
    """Take a timeline away with its events, in the caller's transaction; an unknown one is none."""
    await repository.remove(session, timeline_id)
