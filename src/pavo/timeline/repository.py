"""SQL of the event log."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.timeline.domain import Event, NewEvent, numbered, payload
from pavo.timeline.models import EventRow, TimelineRow

_APPEND = text("SELECT first_seq, at FROM timeline_append(:timeline, CAST(:events AS jsonb), :close)")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a timeline stands."""

    last_seq: int
    closed: bool


async def create(session: AsyncSession, timeline_id: uuid.UUID) -> None:
    """Begin an empty timeline."""
    await session.execute(insert(TimelineRow).values(id=timeline_id))


async def append(
    session: AsyncSession, timeline_id: uuid.UUID, events: Sequence[NewEvent], *, close: bool = False
) -> list[Event]:
    """Number and store events in the caller's transaction; they exist when that commits."""
    values = {"timeline": timeline_id, "events": payload(events), "close": close}
    row = (await session.execute(_APPEND, values)).one()
    return numbered(timeline_id, row.first_seq, row.at, events, close=close)


async def read_after(session: AsyncSession, timeline_id: uuid.UUID, after: int, limit: int) -> list[Event]:
    """The events behind `after`, oldest first, at most `limit`."""
    query = (
        select(EventRow)
        .where(EventRow.timeline_id == timeline_id, EventRow.seq > after)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    rows = (await session.scalars(query)).all()
    return [Event(row.timeline_id, row.seq, row.type, row.at, row.data) for row in rows]


async def heads(session: AsyncSession, timeline_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Head]:
    """Where each of these timelines stands; unknown ids are left out."""
    query = select(TimelineRow.id, TimelineRow.last_seq, TimelineRow.closed).where(TimelineRow.id.in_(timeline_ids))
    return {row.id: Head(row.last_seq, row.closed) for row in await session.execute(query)}
