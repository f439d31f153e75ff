"""The event log itself: gapless numbers under concurrency, nothing without its transaction."""

import asyncio
import json
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pavo.kit.sql import Database
from pavo.timeline import service
from pavo.timeline.domain import NewEvent


async def new_timeline(database: Database) -> uuid.UUID:
    timeline_id = uuid.uuid4()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO timelines (id) VALUES (:id)"), {"id": timeline_id})
    return timeline_id


async def test_concurrent_writers_leave_no_gap(database: Database) -> None:
    timeline_id = await new_timeline(database)

    async def write(number: int) -> None:
        async with database.transaction() as session:
            await service.append(session, timeline_id, [NewEvent("x", {"n": number}), NewEvent("y", {"n": number})])
            if number % 5 == 0:
                await session.rollback()

    answers = await asyncio.gather(*(write(number) for number in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, Exception) for answer in answers) <= 4
    async with database.reading() as session:
        events = await service.read_after(session, timeline_id, 0, 100)
        head = await service.head(session, timeline_id)
    assert [event.seq for event in events] == list(range(1, 33))
    assert head == service.Head(32, closed=False)
    for first, second in zip(events[::2], events[1::2], strict=True):
        assert (first.type, second.type, first.data["n"]) == ("x", "y", second.data["n"])


async def test_what_is_appended_is_what_is_read(database: Database) -> None:
    timeline_id = await new_timeline(database)
    async with database.transaction() as session:
        written = await service.append(
            session, timeline_id, [NewEvent("note", {"text": "é\u2028", "deep": [{"a": None}]})]
        )
    async with database.reading() as session:
        read = await service.read_after(session, timeline_id, 0, 10)
    assert [event.as_json() for event in read] == [event.as_json() for event in written]
    assert b"\n" not in read[0].as_json()


async def test_closing_is_told_by_the_head(database: Database) -> None:
    timeline_id = await new_timeline(database)
    async with database.transaction() as session:
        await service.append(session, timeline_id, [NewEvent("end")], close=True)
    async with database.reading() as session:
        assert await service.head(session, timeline_id) == service.Head(1, closed=True)
        assert await service.head(session, uuid.uuid4()) is None


async def test_unknown_timeline_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="does not exist"):
        async with database.transaction() as session:
            await service.append(session, uuid.uuid4(), [NewEvent("x")])


async def test_a_closed_timeline_takes_nothing_but_the_deletion(database: Database) -> None:
    timeline_id = await new_timeline(database)
    async with database.transaction() as session:
        await service.append(session, timeline_id, [NewEvent("end")], close=True)
    with pytest.raises(IntegrityError, match="is closed"):
        async with database.transaction() as session:
            await service.append(session, timeline_id, [NewEvent("late")])
    async with database.transaction() as session:
        await service.append(session, timeline_id, [NewEvent("deleted")], close=True)
    async with database.reading() as session:
        assert [event.type for event in await service.read_after(session, timeline_id, 0, 10)] == ["end", "deleted"]
        assert await service.head(session, timeline_id) == service.Head(2, closed=True)


NUMBERS: list[float] = [1e22, 1e16, 1.2345678901234567e19, 1e308, 5e-324, -1e300, 1.0, 2**53 + 1, 2**63 - 1, 2**64 - 1]


async def test_numbers_come_back_as_they_were_written(database: Database) -> None:
    timeline_id = await new_timeline(database)
    async with database.transaction() as session:
        written = await service.append(session, timeline_id, [NewEvent("measured", {"v": NUMBERS})])
    async with database.reading() as session:
        read = await service.read_after(session, timeline_id, 0, 10)
    assert read[0].as_json() == written[0].as_json()
    assert repr(read[0].data) == repr({"v": NUMBERS})


async def test_what_was_written_before_can_be_shown(database: Database) -> None:
    """jsonb had made integers of large floats, which no writer of JSON in Pavo takes."""
    timeline_id = await new_timeline(database)
    async with database.transaction() as session:
        old = text("""SELECT timeline_append(:id, '[{"type": "measured", "v": 1e22}]'::jsonb)""")
        await session.execute(old, {"id": timeline_id})
    async with database.reading() as session:
        read = await service.read_after(session, timeline_id, 0, 10)
    assert json.loads(read[0].as_json())["v"] == 1e22
