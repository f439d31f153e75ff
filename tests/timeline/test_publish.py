"""What waits for Redis is bounded in bytes, and goes out in order in parts."""

import asyncio
import uuid
from datetime import UTC, datetime

import orjson
from redis.asyncio import Redis

from pavo.timeline import publish
from pavo.timeline.domain import Event
from pavo.timeline.publish import MAX_WAITING_BYTES, Publisher, channel

LARGE = "x" * 60_000


def events(timeline_id: uuid.UUID, numbers: range) -> list[Event]:
    return [Event(timeline_id, seq, "large", datetime.now(UTC), {"text": LARGE}) for seq in numbers]


async def test_what_waits_is_bounded_in_bytes(redis: Redis) -> None:
    """Nothing is sent meanwhile: the publisher has not begun."""
    publisher, timeline_id = Publisher(redis), uuid.uuid4()
    for first in range(0, 3_000, 100):
        publisher.publish(events(timeline_id, range(first, first + 100)))
    assert MAX_WAITING_BYTES - 2 * len(LARGE) < publisher.waiting_bytes <= MAX_WAITING_BYTES


async def test_what_waits_goes_out_in_order_and_in_parts(redis: Redis) -> None:
    publisher, timeline_id = Publisher(redis), uuid.uuid4()
    count = 5 * publish.SENT_AT_ONCE_BYTES // len(LARGE)
    async with redis.pubsub() as listener, asyncio.timeout(30):
        await listener.subscribe(channel(timeline_id))
        publisher.publish(events(timeline_id, range(count)))
        publisher.start()
        got: list[int] = []
        async for message in listener.listen():
            if message["type"] == "message":
                got.append(orjson.loads(message["data"])["seq"])
            if len(got) == count:
                break
        assert got == list(range(count)) and publisher.waiting_bytes == 0
        publisher.publish(events(timeline_id, range(count, count + 40)))
        await publisher.close()
        assert publisher.waiting_bytes == 0, "also at the end"


async def test_a_publisher_that_is_cancelled_goes_on_and_loses_nothing(redis: Redis) -> None:
    publisher, timeline_id = Publisher(redis), uuid.uuid4()
    count = 5 * publish.SENT_AT_ONCE_BYTES // len(LARGE)
    async with redis.pubsub() as listener, asyncio.timeout(30):
        await listener.subscribe(channel(timeline_id))
        publisher.publish(events(timeline_id, range(count)))
        publisher.start()
        got: list[int] = []
        async for message in listener.listen():
            if message["type"] != "message":
                continue
            got.append(orjson.loads(message["data"])["seq"])
            if len(got) % 10 == 5:
                for task in asyncio.all_tasks():
                    if task.get_name() == "timeline-publisher":
                        task.cancel()
            if set(got) == set(range(count)):
                break
    await publisher.close()
    assert publisher.waiting_bytes == 0
