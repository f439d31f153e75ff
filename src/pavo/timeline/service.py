"""The event log: what other slices call, in their own transactions, and all SQL on it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import orjson
from sqlalchemy import BigInteger, DateTime, Text, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.timeline.domain import Event, NewEvent, numbered, payload
from pavo.timeline.models import EventRow, TimelineRow

# `timeline_append` is in migration 0002; that of 0001 is superseded.
_APPEND = text("SELECT first_seq, at FROM timeline_append(:timeline, CAST(:events AS jsonb), :close)")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a timeline stands."""

    last_seq: int
    closed: bool


BEGIN: Final = """
head AS (
    INSERT INTO timelines (id, last_seq) SELECT id, 1 FROM created RETURNING id
), begun AS (
    INSERT INTO events (timeline_id, seq, type, at, data)
    SELECT id, 1, %(first_type)s, pavo_now(), CAST(%(first_data)s AS jsonb) FROM head RETURNING at
)"""
"""Begins a timeline with its first event, for each id of the caller's CTE `created`; see `begin_values`."""


def begin_values(first: NewEvent) -> dict[str, str]:
    """The values that `BEGIN` takes."""
    return {"first_type": first.type, "first_data": orjson.dumps(dict(first.data)).decode()}


_CREATE: Final = f"WITH created AS (SELECT %(timeline)s::uuid AS id), {BEGIN} SELECT at FROM begun"


async def create(session: AsyncSession, timeline_id: uuid.UUID, first: NewEvent) -> list[Event]:
    """Begin a timeline with its first event, in the caller's transaction."""
    connection = await session.connection()
    values = {"timeline": timeline_id, **begin_values(first)}
    at = (await connection.exec_driver_sql(_CREATE, values)).scalar_one()
    return numbered(timeline_id, 1, at, [first])


_BEGIN_SILENT: Final = text("INSERT INTO timelines (id) VALUES (:timeline) ON CONFLICT DO NOTHING")


async def begin_silent(session: AsyncSession, timeline_id: uuid.UUID) -> None:
    """A timeline without events, of a subject of which nobody follows any; where it is there, nothing is done."""
    await session.execute(_BEGIN_SILENT, {"timeline": timeline_id})


_KEPT: Final = text("SELECT 1 FROM timelines WHERE id = :timeline FOR SHARE")


async def is_kept(session: AsyncSession, timeline_id: uuid.UUID) -> bool:
    """Whether a timeline is there, and stays until the session ends."""
    return (await session.execute(_KEPT, {"timeline": timeline_id})).first() is not None


async def append(
    session: AsyncSession, timeline_id: uuid.UUID, events: Sequence[NewEvent], *, close: bool = False
) -> list[Event]:
    """Number and store events in the caller's transaction; publish the answer after commit.

    Nothing to append: nothing done.
    """
    if not events:
        return []
    values = {"timeline": timeline_id, "events": payload(events), "close": close}
    row = (await session.execute(_APPEND, values)).one()
    return numbered(timeline_id, row.first_seq, row.at, events, close=close)


APPENDED_TO: Final[LiteralString] = (
    "appended AS MATERIALIZED (SELECT told.first_seq, told.at FROM {0}"
    " CROSS JOIN LATERAL timeline_append({0}.id, %(events)s::jsonb, false) told)"
)
"""A part of a statement: events follow on the timeline of the one row of the part that it is formatted with."""


def append_values(events: Sequence[NewEvent]) -> dict[str, Any]:
    """The values that `APPENDED_TO` takes; `numbered` tells what it has stored."""
    return {"events": payload(events)}


async def reopen(session: AsyncSession, timeline_id: uuid.UUID) -> None:
    """Have events follow the last one of a timeline that was closed, in the caller's transaction.

    The caller holds a lock that orders those who would close it.
    """
    await session.execute(update(TimelineRow).where(TimelineRow.id == timeline_id).values(closed=False))


async def append_once(session: AsyncSession, timeline_id: uuid.UUID, event: NewEvent, *, since: str) -> list[Event]:
    """Append unless the very same event came after the newest one of type `since`.

    The caller holds a lock that orders those who would append it.
    """
    mine = EventRow.timeline_id == timeline_id
    start = select(func.coalesce(func.max(EventRow.seq), 0)).where(mine, EventRow.type == since).scalar_subquery()
    told = select(EventRow.seq).where(mine, EventRow.seq > start, EventRow.type == event.type)
    if (await session.scalars(told.where(EventRow.data == dict(event.data)).limit(1))).first() is not None:
        return []
    return await append(session, timeline_id, [event])


async def came_after(session: AsyncSession, timeline_id: uuid.UUID, event: NewEvent, moment: datetime) -> bool:
    """Whether the very same event came after a moment."""
    same = (EventRow.timeline_id == timeline_id, EventRow.type == event.type, EventRow.data == dict(event.data))
    query = select(EventRow.seq).where(*same, EventRow.at > moment).limit(1)
    return (await session.scalars(query)).first() is not None


PAGE_BYTES: Final = 1_000_000
"""Of one page of events, as JSON."""
# Event by event, so that PostgreSQL reads none beyond the last one that is answered: a page of the largest would have
# tens of megabytes. The numbers have no gaps, except where a removal is under way.
_READ: Final = text("""
WITH RECURSIVE page AS (
    (SELECT seq, type, at, data, octet_length(data::text) AS bytes, 1 AS place
     FROM events WHERE timeline_id = :timeline AND seq > :after ORDER BY seq LIMIT 1)
    UNION ALL
    SELECT next.seq, next.type, next.at, next.data, page.bytes + octet_length(next.data::text), page.place + 1
    FROM page CROSS JOIN LATERAL (
        SELECT seq, type, at, data FROM events
        WHERE timeline_id = :timeline AND seq > page.seq ORDER BY seq LIMIT 1
    ) next
    WHERE page.place < :events AND page.bytes + octet_length(next.data::text) <= :bytes
)
SELECT seq, type, at, data FROM page ORDER BY seq
""").columns(seq=BigInteger, type=Text, at=DateTime(timezone=True), data=JSONB)


async def read_after(
    session: AsyncSession, timeline_id: uuid.UUID, after: int, limit: int, most_bytes: int = PAGE_BYTES
) -> list[Event]:
    """The events after number `after`, oldest first: at most `limit`, and `most_bytes` of them, but one if there is."""
    values = {"timeline": timeline_id, "after": after, "events": limit, "bytes": most_bytes}
    rows = await session.execute(_READ, values)
    return [Event(timeline_id, row.seq, row.type, row.at, row.data) for row in rows]


async def head(session: AsyncSession, timeline_id: uuid.UUID) -> Head | None:
    """Where the timeline stands; None when it does not exist."""
    return (await heads(session, [timeline_id])).get(timeline_id)


async def heads(session: AsyncSession, timeline_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Head]:
    """Where each of these timelines stands; unknown ids are left out."""
    query = select(TimelineRow.id, TimelineRow.last_seq, TimelineRow.closed).where(TimelineRow.id.in_(timeline_ids))
    return {row.id: Head(row.last_seq, row.closed) for row in await session.execute(query)}


async def remove(session: AsyncSession, timeline_id: uuid.UUID) -> None:
    """Take a timeline away with its events, in the caller's transaction; an unknown one is none."""
    await session.execute(delete(TimelineRow).where(TimelineRow.id == timeline_id))
