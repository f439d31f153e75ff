"""Following: each event once and in order, whatever Redis loses, repeats or is late with, and what that costs."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import text

from pavo.kit.sql import Database
from pavo.timeline import follow, service
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.follow import Follower
from pavo.timeline.publish import CLOSED_CHANNEL, channel
from tests.driving import until

Append = Callable[..., Awaitable[list[Event]]]


@pytest_asyncio.fixture
async def timeline_id(database: Database) -> uuid.UUID:
    found = uuid.uuid4()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO timelines (id) VALUES (:id)"), {"id": found})
    return found


@pytest.fixture
def append(database: Database, timeline_id: uuid.UUID) -> Append:
    async def act(count: int = 1, *, close: bool = False) -> list[Event]:
        async with database.transaction() as session:
            new = [NewEvent("note", {"n": n}) for n in range(count)]
            return await service.append(session, timeline_id, new, close=close)

    return act


async def publish(redis: Redis, events: Sequence[Event]) -> None:
    for event in events:
        await redis.publish(channel(event.timeline_id), event.as_json())
        if event.closes:
            await redis.publish(CLOSED_CHANNEL, str(event.timeline_id))


class Watch:
    """A viewer and what it saw; `quiet` counts how often it was told that nothing happens."""

    def __init__(self, follower: Follower, timeline_id: uuid.UUID, after: int = 0) -> None:
        self.seen: list[int] = []
        self.quiet = 0
        self.task = asyncio.create_task(self._run(follower, timeline_id, after))

    async def _run(self, follower: Follower, timeline_id: uuid.UUID, after: int) -> None:
        async with aclosing(follower.follow(timeline_id, after)) as found:
            async for events in found:
                self.seen += [seq for seq, _ in events]
                self.quiet += not events

    async def reaches(self, seq: int) -> None:
        async def there() -> bool:
            return bool(self.seen) and self.seen[-1] >= seq

        await until(there, what=f"event {seq}")


async def test_what_redis_lost_is_read_once_for_all_viewers(
    follower: Follower, timeline_id: uuid.UUID, append: Append, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(3)
    watching = [Watch(follower, timeline_id) for _ in range(50)]
    await asyncio.gather(*(watch.reaches(3) for watch in watching))
    reads = 0
    read_after = service.read_after

    async def counted(*arguments: Any) -> list[Event]:
        nonlocal reads
        reads += 1
        return await read_after(*arguments)

    monkeypatch.setattr(service, "read_after", counted)
    await append(2)
    await append(close=True)
    await asyncio.wait_for(asyncio.gather(*(watch.task for watch in watching)), 10)
    assert all(watch.seen == [1, 2, 3, 4, 5, 6] for watch in watching)
    assert 1 <= reads <= 3


async def test_a_viewer_that_is_pages_behind_reads_by_itself(
    follower: Follower, timeline_id: uuid.UUID, append: Append
) -> None:
    await append()
    watch, late = Watch(follower, timeline_id), Watch(follower, timeline_id)
    await asyncio.gather(watch.reaches(1), late.reaches(1))
    await append(follow.PAGE * 2 + 7)
    await append(close=True)
    await asyncio.wait_for(asyncio.gather(watch.task, late.task), 10)
    assert watch.seen == late.seen == list(range(1, follow.PAGE * 2 + 10))


async def test_a_quiet_viewer_is_told_and_goes_on(
    follower: Follower, redis: Redis, timeline_id: uuid.UUID, append: Append, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "QUIET_SECONDS", 0.0)
    await append()
    watch = Watch(follower, timeline_id)

    async def told() -> bool:
        return watch.quiet >= 2

    await until(told, what="two signs of life")
    await publish(redis, await append(close=True))
    await asyncio.wait_for(watch.task, 10)
    assert watch.seen == [1, 2]


async def test_a_viewer_hears_that_the_stream_lives_while_postgres_is_silent(
    follower: Follower, timeline_id: uuid.UUID, append: Append, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(close=True)
    monkeypatch.setattr(follow, "QUIET_SECONDS", 0.0)
    answer, read_after = asyncio.Event(), service.read_after

    async def silent(*arguments: Any) -> list[Event]:
        await answer.wait()
        return await read_after(*arguments)

    monkeypatch.setattr(service, "read_after", silent)
    watch = Watch(follower, timeline_id)

    async def told() -> bool:
        return watch.quiet >= 2

    await until(told, what="two signs of life")
    answer.set()
    await asyncio.wait_for(watch.task, 10)
    assert watch.seen == [1]


@pytest.mark.parametrize("how", ["killed", "unforeseen"])
async def test_whoever_watches_is_subscribed_again_after_a_broken_connection(
    follower: Follower, redis: Redis, timeline_id: uuid.UUID, append: Append, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append()
    watch = Watch(follower, timeline_id)
    await watch.reaches(1)

    async def subscribed() -> bool:
        found: Any = await redis.pubsub_numsub(channel(timeline_id))  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]
        return found[0][1] == 1

    await until(subscribed, what="the subscription")
    if how == "killed":
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # pyright: ignore[reportUnknownMemberType]
    else:
        with monkeypatch.context() as patch:
            heard = asyncio.Event()

            def broken(*_: Any) -> None:
                heard.set()
                raise AttributeError("a defect")

            patch.setattr(follower, "_fan_out", broken)
            await redis.publish(channel(timeline_id), b'{"seq": 0}')
            await asyncio.wait_for(heard.wait(), 5)
    late = Watch(follower, timeline_id)
    await until(subscribed, what="the subscription again")
    await publish(redis, await append(2))
    await asyncio.gather(watch.reaches(3), late.reaches(3))
    await publish(redis, await append(close=True))
    await asyncio.wait_for(asyncio.gather(watch.task, late.task), 10)
    assert watch.seen == late.seen == [1, 2, 3, 4]


async def test_a_process_that_ends_ends_its_streams(follower: Follower, timeline_id: uuid.UUID, append: Append) -> None:
    await append()
    watch = Watch(follower, timeline_id)
    await watch.reaches(1)
    follower.dismiss()
    await asyncio.wait_for(watch.task, 5)
    assert [events async for events in follower.follow(timeline_id, 0)] == []
    assert follower.viewers == 0


async def test_a_viewer_that_is_cancelled_leaves_no_subscription(
    follower: Follower, redis: Redis, timeline_id: uuid.UUID, append: Append
) -> None:
    await append()
    name = channel(timeline_id)

    async def subscribers() -> int:
        found: Any = await redis.pubsub_numsub(name)  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]
        return found[0][1]

    for _ in range(3):  # leaving and coming back at once keeps the stream alive
        watch = Watch(follower, timeline_id)
        await watch.reaches(1)
        assert await subscribers() == 1
        watch.task.cancel()
        await asyncio.gather(watch.task, return_exceptions=True)
    watch = Watch(follower, timeline_id)
    await watch.reaches(1)
    await publish(redis, await append(close=True))
    await asyncio.wait_for(watch.task, 10)

    async def none() -> bool:
        return await subscribers() == 0

    await until(none, what="the end of the subscription")


class UnreliableRedis:
    """Publishes, loses, holds back, repeats and reorders events, by a seeded random generator."""

    def __init__(self, redis: Redis, rng: random.Random) -> None:
        self._redis, self._rng = redis, rng
        self._held: list[Event] = []

    async def publish(self, events: Sequence[Event]) -> None:
        fate = self._rng.random()
        if fate < 0.6:
            await publish(self._redis, events)
        elif fate < 0.8:
            self._held += events
        if self._held and self._rng.random() < 0.3:
            self._rng.shuffle(self._held)
            await publish(self._redis, self._held * self._rng.randint(1, 2))
            self._held = []


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_redis_does_each_event_is_seen_once_in_order(
    follower: Follower, redis: Redis, timeline_id: uuid.UUID, append: Append, seed: int
) -> None:
    rng = random.Random(seed)
    unreliable = UnreliableRedis(redis, rng)
    watching = {0: Watch(follower, timeline_id)}
    total = 0
    for _ in range(120):
        new = await append(rng.randint(1, 3))
        total = new[-1].seq
        await unreliable.publish(new)
        if rng.random() < 0.1:
            after = rng.randint(0, total)
            if after not in watching:
                watching[after] = Watch(follower, timeline_id, after)
        if rng.random() < 0.05:
            watching[rng.choice(list(watching))].task.cancel()
    last = (await append(close=True))[-1].seq
    tasks = [watch.task for watch in watching.values()]
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    for (after, watch), outcome in zip(watching.items(), outcomes, strict=True):
        ends = after + len(watch.seen) if isinstance(outcome, asyncio.CancelledError) else last
        assert watch.seen == list(range(after + 1, ends + 1)), (after, outcome)


async def test_a_timeline_that_cannot_be_shown_stops_no_other(
    follower: Follower, timeline_id: uuid.UUID, append: Append, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned = uuid.uuid4()
    # Deeper than any reader of Pavo's goes, and nothing that Pavo's writer would let through.
    deep = '[{"type": "deep", "v": ' + "[" * 2_000 + "]" * 2_000 + "}]"
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO timelines (id) VALUES (:id)"), {"id": poisoned})
        await service.append(session, poisoned, [NewEvent("note")])
    await append()
    bad, good = Watch(follower, poisoned), Watch(follower, timeline_id)
    await asyncio.gather(bad.reaches(1), good.reaches(1))
    async with database.transaction() as session:
        statement = text("SELECT timeline_append(:id, CAST(:deep AS jsonb))")
        await session.execute(statement, {"id": poisoned, "deep": deep})
    await append()
    await follower._look([poisoned, timeline_id])
    await good.reaches(2)
    assert "cannot be shown" in caplog.text
    with pytest.raises(ValueError):
        await asyncio.wait_for(bad.task, 10)
    await append(close=True)
    await asyncio.wait_for(good.task, 10)
    assert good.seen == [1, 2, 3] and bad.seen == [1]
