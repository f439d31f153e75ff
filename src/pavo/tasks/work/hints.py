"""Hints that somebody wants to stop a task: they make it quick, nothing depends on them."""

import contextlib
import uuid
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from pavo.kit.subscription import Subscription
from pavo.tasks.work.attempts import Attempts

STOP_CHANNEL: Final = "pavo:stop"


async def end_steps(redis: Redis, task_ids: Sequence[uuid.UUID]) -> None:
    """Have the attempts at these tasks end although nobody wants to stop them: their workflows see that no stop
    follows, and go on from the last checkpoint.

    Raises:
        RedisError, OSError: Redis is away.
    """
    for task_id in task_ids:
        await redis.publish(STOP_CHANNEL, str(task_id))


async def listen_for_hints(redis: Redis, attempts: Attempts) -> None:
    """Pass hints on to the attempts of this process, until cancelled."""

    def take(_channel: str, data: bytes) -> None:
        with contextlib.suppress(ValueError):  # not ours
            attempts.hint(uuid.UUID(data.decode()))

    await Subscription(redis, [STOP_CHANNEL], take).run()
