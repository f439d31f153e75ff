"""Whether workers of a task queue live: each listens to channels of Redis, whose server knows who listens.

A process that died has lost its connection, a busy one has not: the answer is of now, and needs no clock. (Of a machine
that died Redis learns by its own keepalive, after some minutes; until then its workers count as busy.)
"""

import asyncio
import logging

from redis.asyncio import Redis

from pavo.kit.subscription import REDIS_AWAY, Subscription

logger = logging.getLogger(__name__)

ASK_SECONDS = 1.0


def _channel(namespace: str, task_queue: str, version: str | None) -> str:
    # Redis' channels know no database numbers: several stacks may share a server.
    return f"pavo:workers:{namespace}:{task_queue}" + (f":{version}" if version else "")


async def be_present(redis: Redis, namespace: str, task_queue: str, version: str | None) -> None:
    """For a worker that polls: be seen until cancelled.

    Args:
        version: `deployment:build` of a versioned worker; runs that are pinned to it wait for its workers alone.
    """
    channels = {_channel(namespace, task_queue, None), _channel(namespace, task_queue, version)}
    await Subscription(redis, channels, lambda _channel, _data: None).run()


class Presence:
    """For a process that sends commands to the workers of a task queue."""

    def __init__(self, redis: Redis, namespace: str, task_queue: str) -> None:
        self._redis = redis
        self._place = namespace, task_queue

    async def workers(self, version: str | None = None) -> int | None:
        """How many workers live; None while Redis is away, for nobody knows then.

        Args:
            version: count those of this `deployment:build` alone.
        """
        try:
            async with asyncio.timeout(ASK_SECONDS):
                counted = await self._redis.pubsub_numsub(_channel(*self._place, version))
        except (TimeoutError, *REDIS_AWAY) as error:
            logger.info("Redis does not tell which workers live: %s", error)
            return None
        return sum(count for _, count in counted)
