"""The fast path: committed events go to Redis. Whatever is lost here is read from PostgreSQL by those who follow."""

import asyncio
import logging
from collections.abc import Sequence

from redis.asyncio import Redis

from pavo.kit.cancellation import end
from pavo.kit.subscription import REDIS_AWAY
from pavo.observe import metrics
from pavo.timeline.domain import Event

logger = logging.getLogger(__name__)

MAX_WAITING = 20_000
"""Events waiting for Redis at most; beyond it the oldest are dropped, for viewers fetch what they miss."""


CLOSED_CHANNEL = "pavo:closed"
"""Tells followers that a timeline has ended, so that its streams end at once."""
CHANNEL = "sse:"
"""What stands before a subject's id in the name of its events' channel."""


def channel(timeline_id: object) -> str:
    """The Redis channel of a subject's events."""
    return f"{CHANNEL}{timeline_id}"


class Publisher:
    """Publishes in the background, in order, many events a round trip. Never fails the caller.

    Belongs to the event loop that calls `start`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[Event] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def start(self) -> None:
        """Begin publishing on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="timeline-publisher")

    def publish(self, events: Sequence[Event]) -> None:
        """Hand over committed events; returns at once."""
        self._waiting.extend(events)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[: len(self._waiting) - MAX_WAITING]
        self._wake.set()

    async def close(self) -> None:
        """Publish what waits, if Redis is there, and stop."""
        if self._task is None:
            return
        await end(self._task)
        self._task = None
        if not self._away:
            await self._send(self._take())

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._send(self._take())

    def _take(self) -> list[Event]:
        self._wake.clear()
        events, self._waiting = self._waiting, []
        return events

    async def _send(self, events: Sequence[Event]) -> None:
        if not events:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for event in events:
                    pipe.publish(channel(event.timeline_id), event.as_json())
                    if event.closes:
                        pipe.publish(CLOSED_CHANNEL, str(event.timeline_id))
                await pipe.execute()
            self._away = False
            metrics.EVENTS_PUBLISHED.add(by=len(events))
        except REDIS_AWAY as error:
            metrics.PUBLISH_FAILURES.add()
            # Not put back: an event that arrives late and out of order helps nobody, PostgreSQL has it.
            if not self._away:
                logger.warning("Redis is away, viewers read from PostgreSQL until it is back: %s", error)
            self._away = True
        except Exception:
            metrics.PUBLISH_FAILURES.add()
            # Logged and not raised: this loop serves every timeline of the process, and it may not end.
            logger.exception("Publishing failed in an unforeseen way; viewers read from PostgreSQL")
            await self._redis.connection_pool.disconnect()
            self._away = True
