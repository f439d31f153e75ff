"""A subscription is to what is wanted, and to nothing else, whatever its connection goes through."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pavo.config import Settings
from pavo.kit import subscription as module
from pavo.kit.cancellation import end
from pavo.kit.subscription import Subscription
from tests.driving import until
from tests.faults.proxy import Link, Mode


class Case:
    """A subscription behind a link that can be harmed, and what it heard."""

    def __init__(self, redis: Redis, link: Link, behind: Redis) -> None:
        self.redis, self.link = redis, link
        self.mine = f"test:{uuid.uuid4()}:"
        self.heard: list[tuple[str, bytes]] = []
        self.begun = 0
        self.subscription = Subscription(behind, [self.mine], lambda *heard: self.heard.append(heard), self._count)
        self.task = asyncio.create_task(self.subscription.run())

    def _count(self) -> None:
        self.begun += 1

    async def channels(self) -> set[str]:
        """What Redis says that somebody is subscribed to."""
        found: Any = await self.redis.pubsub_channels(f"{self.mine}*")  # pyright: ignore[reportUnknownMemberType]
        return {name.decode() for name in found}

    async def settles(self, *names: str, seconds: float = 10) -> None:
        """Wait until these, and no others, are subscribed."""
        wanted = {self.mine, *names}

        async def settled() -> bool:
            return self.subscription.connected and await self.channels() == wanted

        await until(settled, seconds=seconds, what=f"subscriptions to {len(wanted)} channels")

    async def is_away(self) -> None:
        async def away() -> bool:
            return not self.subscription.connected

        await until(away, what="the end of the connection")


@pytest_asyncio.fixture
async def case(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr(module, "PING_SECONDS", 0.3)
    redis = Redis.from_url(settings.redis.url)
    place = urlsplit(settings.redis.url)
    link = Link(place.port or 6379)
    await link.start()
    url = place._replace(netloc=place.netloc.rpartition(":")[0] + f":{link.port}").geturl()
    behind = Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 1))
    found = Case(redis, link, behind)
    await found.settles()
    yield found
    await end(found.task)
    await link.close()
    await behind.aclose()
    await redis.aclose()


async def test_it_hears_what_is_wanted_and_nothing_else(case: Case) -> None:
    name = case.mine + "one"
    await case.subscription.want(name)
    assert name in await case.channels(), "it is confirmed when want returns"
    await case.redis.publish(name, b"yes")
    await case.redis.publish(case.mine + "two", b"no")
    await case.redis.publish(case.mine, b"always")

    async def both() -> bool:
        return len(case.heard) == 2

    await until(both, what="both messages")
    assert case.heard == [(name, b"yes"), (case.mine, b"always")]
    case.subscription.drop(name)
    await case.settles()


async def test_a_connection_that_falls_silent_is_given_up(case: Case) -> None:
    name = case.mine + "one"
    await case.subscription.want(name)
    await case.link.switch(Mode.BLACK_HOLE)
    await case.is_away()
    assert case.link.hits > 0
    await asyncio.wait_for(case.subscription.want(case.mine + "two"), 0.5)  # nobody waits for a Redis that is away
    await case.link.switch(Mode.PASS)
    await case.settles(name, case.mine + "two")
    assert case.begun == 2, "whoever missed messages is told"


async def test_who_leaves_while_redis_is_away_and_comes_back_is_subscribed_again(case: Case) -> None:
    name, gone = case.mine + "one", case.mine + "gone"
    await asyncio.gather(case.subscription.want(name), case.subscription.want(gone))
    await case.link.switch(Mode.REFUSE)
    await case.is_away()
    case.subscription.drop(name)
    case.subscription.drop(gone)
    await case.link.switch(Mode.PASS)
    await case.settles()
    await case.subscription.want(name)
    assert await case.channels() == {case.mine, name}


async def test_who_comes_while_the_connection_breaks_is_subscribed(case: Case) -> None:
    names: list[str] = []
    for number in range(15):
        await case.link.switch(Mode.CUT)
        assert case.link.hits > 0
        for _ in range(number % 4):
            await asyncio.sleep(0)
        names.append(f"{case.mine}{number}")
        await asyncio.wait_for(case.subscription.want(names[-1]), module.CONFIRM_SECONDS + 1)
        await case.settles(*names, seconds=5)
    assert case.begun == 16, "no connection is mended behind its back"


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_leaves_what_is_wanted(case: Case, seed: int) -> None:
    rng = random.Random(seed)
    wanted = set[str]()

    async def act(number: int) -> None:
        await asyncio.sleep(rng.random())
        if rng.random() < 0.1:
            await case.link.switch(Mode.CUT)
        if wanted and rng.random() < 0.4:
            gone = wanted.pop()
            case.subscription.drop(gone)
        else:
            name = f"{case.mine}{number}"
            wanted.add(name)
            await case.subscription.want(name)

    await asyncio.gather(*(act(number) for number in range(100)))
    await case.settles(*wanted)
    assert not case.subscription._waiting  # pyright: ignore[reportPrivateUsage]
