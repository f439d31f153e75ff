"""What follows timelines, over real stores."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis.asyncio import Redis

from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.timeline.follow import Follower


@pytest_asyncio.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = Redis.from_url(settings.redis.url)
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def follower(database: Database, redis: Redis) -> AsyncIterator[Follower]:
    found = Follower(database, redis)
    await found.start()
    yield found
    await found.close()
