"""Hints that somebody wants to stop a task: they make it quick, nothing depends on them."""

import contextlib
import uuid
from typing import Final

from redis.asyncio import Redis

from pavo.kit.subscription import Subscription
from pavo.tasks.work.attempts import Attempts

STOP_CHANNEL: Final = "pavo:stop"


async def listen_for_hints(redis: Redis, attempts: Attempts) -> None:
    """Pass hints on to the attempts of this process, until cancelled."""

    def take(_channel: str, data: bytes) -> None:
        with contextlib.suppress(ValueError):  # not ours
            attempts.hint(uuid.UUID(data.decode()))

    await Subscription(redis, [STOP_CHANNEL], take).run()
