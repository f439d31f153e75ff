"""Hints that somebody wants to stop a task: they make it quick, nothing depends on them."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from redis.asyncio import Redis

from pavo.tasks.attempt import Attempts
from pavo.timeline.publish import REDIS_AWAY

logger = logging.getLogger(__name__)

STOP_CHANNEL: Final = "pavo:stop"
MAX_PAUSE_SECONDS = 2.0


async def listen_for_hints(redis: Redis, attempts: Attempts) -> None:
    """Pass hints on to the attempts of this process, until cancelled."""
    pause = 0.05
    while True:
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(STOP_CHANNEL)
                pause = 0.05
                messages = cast("AsyncIterator[dict[str, Any]]", pubsub.listen())
                async for message in messages:
                    if message["type"] == "message":
                        attempts.hint(uuid.UUID(bytes(message["data"]).decode()))
        except (*REDIS_AWAY, ValueError) as error:
            logger.info("No stop hints for the moment: %s", error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
