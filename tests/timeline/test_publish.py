"""What waits for Redis is bounded in bytes, and goes out in order in parts."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from redis.asyncio import Redis

from pavo.timeline import publish
from pavo.timeline.delta_feed import DeltaFeed
from pavo.timeline.deltas import RECORDED, SUPERSEDED, Said, over_message
from pavo.timeline.domain import Event
from pavo.timeline.publish import KEPT, MAX_WAITING_BYTES, Publisher, channel, kept_key, said_channel

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


async def test_once_a_newer_attempt_has_spoken_an_older_one_is_heard_no_more(redis: Redis) -> None:
    """A worker that was paused wakes up: it neither tells viewers anything nor takes away what Redis keeps."""
    publisher, timeline_id = Publisher(redis), uuid.uuid4()
    publisher.start()
    async with redis.pubsub() as listener, asyncio.timeout(30):
        await listener.subscribe(said_channel(timeline_id))
        old, new = Said(9, 3), Said(10, 3)
        for said, text in ((old, "old"), (new, "new"), (old, "zombie")):
            more = {"text": {"text": text}}
            said.add(more)
            publisher.say(timeline_id, said.attempt, said.message(more), said.kept())
        publisher.say(timeline_id, 9, over_message(9, 3, SUPERSEDED))
        publisher.say(timeline_id, 10, over_message(10, 3, RECORDED))
        heard: list[dict[str, Any]] = []
        kept: list[bytes] = []
        async for message in listener.listen():
            if message["type"] == "message":
                heard.append(orjson.loads(message["data"]))
                kept.append(await redis.hget(kept_key(timeline_id), KEPT) or b"")  # pyright: ignore
            if heard and "over" in heard[-1]:
                break
    await publisher.close()
    assert [told["attempt"] for told in heard] == [9, 10, 10] and "zombie" not in str(heard)
    assert kept[-1] == b"" and 0 < await redis.ttl(kept_key(timeline_id)) <= publish.KEPT_SECONDS


async def test_what_redis_refuses_harms_nothing_else(redis: Redis) -> None:
    publisher, timeline_id, other = Publisher(redis), uuid.uuid4(), uuid.uuid4()
    await redis.set(kept_key(timeline_id), "something else")
    async with redis.pubsub() as listener, asyncio.timeout(30):
        await listener.subscribe(channel(other))
        publisher.say(timeline_id, 1, over_message(1, 1, RECORDED))
        publisher.publish(events(other, range(1)))
        publisher.start()
        async for message in listener.listen():
            if message["type"] == "message":
                break
    await publisher.close()
    await redis.delete(kept_key(timeline_id))


async def test_what_was_said_while_redis_was_read_is_not_taken_back(redis: Redis) -> None:
    """Redis kept nothing when it was asked; its answer comes after the first words."""
    timeline_id, said = uuid.uuid4(), Said(1, 1)
    feed = DeltaFeed(redis, lambda _: ())
    feed.watch(timeline_id)
    reading = asyncio.create_task(feed.read([timeline_id]))
    await asyncio.sleep(0)  # it has begun, and has no answer yet
    more = {"text": {"text": "hello"}}
    said.add(more)
    assert feed.take(timeline_id, said.message(more))
    await reading
    assert feed.take(timeline_id, said.message(more)), "it is known, so nothing is missing"
    said.add(more)
    assert feed.take(timeline_id, said.message(more)), "it goes on with what is known"
    feed.leave(timeline_id)
