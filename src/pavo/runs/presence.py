"""Whether workers of a task queue live: each listens to a channel of Redis, whose server knows who listens.

A dead process has lost its connection, a busy one has not: so the answer is of now, and needs no clock.
"""

import asyncio
import logging

from redis.asyncio import Redis

from pavo.kit.subscription import REDIS_AWAY, Subscription

logger = logging.getLogger(__name__)

ASK_SECONDS = 1.0


def _channel(task_queue: str) -> str:
    return f"pavo:workers:{task_queue}"


async def be_present(redis: Redis, task_queue: str) -> None:
    """For a worker: be seen until cancelled."""
    await Subscription(redis, [_channel(task_queue)], lambda _channel, _data: None).run()


class Presence:
    """For a process that sends commands to the workers of a task queue."""

    def __init__(self, redis: Redis, task_queue: str) -> None:
        self._redis = redis
        self._channel = _channel(task_queue)

    async def workers(self) -> int:
        """How many workers live; 0 also while Redis is away, for nobody knows then."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                counted = await self._redis.pubsub_numsub(self._channel)
        except (TimeoutError, *REDIS_AWAY) as error:
            logger.info("Redis does not tell which workers live: %s", error)
            return 0
        return sum(count for _, count in counted)
