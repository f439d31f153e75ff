"""Whether workers of a task queue live: each listens to channels of Redis, whose server knows who listens.

A process that died has lost its connection, a busy one has not: the answer is of now, and needs no clock. (Of a machine
that died Redis learns by its own keepalive, after some minutes; until then its workers count as busy.)
"""

import asyncio
import logging
from collections.abc import Sequence

from redis.asyncio import Redis

from pavo.kit.subscription import REDIS_AWAY, Subscription

logger = logging.getLogger(__name__)

ASK_SECONDS = 1.0


def _channel(namespace: str, task_queue: str, version: str | None) -> str:
    # Redis' channels know no database numbers: several stacks may share a server.
    return f"pavo:workers:{namespace}:{task_queue}" + (f":{version}" if version else "")


def _own_channel(namespace: str, task_queue: str, worker: str) -> str:
    return f"pavo:worker:{namespace}:{task_queue}:{worker}"


async def be_present(redis: Redis, namespace: str, task_queue: str, version: str | None, worker: str) -> None:
    """For a worker that polls: be seen until cancelled.

    Args:
        version: `deployment:build` of a versioned worker; runs that are pinned to it wait for its workers alone.
        worker: its own name, by which `Presence.those_alive` finds it.
    """
    place = namespace, task_queue
    channels = {_channel(*place, None), _channel(*place, version), _own_channel(*place, worker)}
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

    async def those_alive(self, workers: Sequence[str]) -> Sequence[str]:
        """Which of the workers with these names live.

        Raises:
            RedisError, OSError: Redis is away.
        """
        if not workers:
            return []
        counted = await self._redis.pubsub_numsub(*(_own_channel(*self._place, worker) for worker in workers))
        return [worker for worker, (_, count) in zip(workers, counted, strict=True) if count]
