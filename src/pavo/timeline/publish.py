"""The fast path: committed events go to Redis. Whatever is lost here is read from PostgreSQL by those who follow."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from pavo.kit.cancellation import KeptRunning
from pavo.kit.subscription import REDIS_AWAY
from pavo.observe import metrics
from pavo.timeline.domain import Event

logger = logging.getLogger(__name__)

MAX_WAITING = 20_000
"""Events waiting for Redis at most; beyond it the oldest are dropped, for viewers fetch what they miss."""
MAX_WAITING_BYTES = 64_000_000
"""The same in bytes: events have up to 64 KB."""
SENT_AT_ONCE_BYTES = 1_000_000
"""In one round trip, whose commands are copied several times on their way."""

CLOSED_CHANNEL = "pavo:closed"
"""Tells followers that a timeline has ended, so that its streams end at once."""
CHANNEL = "sse:"
"""What stands before a subject's id in the name of its events' channel."""


def channel(timeline_id: object) -> str:
    """The Redis channel of a subject's events."""
    return f"{CHANNEL}{timeline_id}"


@dataclass(frozen=True, slots=True)
class _Message:
    """An event on its way, as Redis gets it."""

    timeline_id: uuid.UUID
    body: bytes
    closes: bool


class Publisher:
    """Publishes in the background, in order, many events a round trip. Never fails the caller.

    Belongs to the event loop that calls `start`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: deque[_Message] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._task: KeptRunning | None = None
        self._away = False

    def start(self) -> None:
        """Begin publishing on the running event loop."""
        self._task = KeptRunning(self._run, "timeline-publisher")

    def publish(self, events: Sequence[Event]) -> None:
        """Hand over committed events; returns at once."""
        for event in events:
            message = _Message(event.timeline_id, event.as_json(), event.closes)
            self._waiting.append(message)
            self._waiting_bytes += len(message.body)
        while len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft().body)
        self._wake.set()

    @property
    def waiting_bytes(self) -> int:
        """How much waits for Redis."""
        return self._waiting_bytes

    async def close(self) -> None:
        """Publish what waits, if Redis is there, and stop."""
        if self._task is None:
            return
        await self._task.end()
        self._task = None
        while self._waiting and not self._away:
            await self._send(self._take())

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._send(self._take())

    def _take(self) -> list[_Message]:
        """What is sent next; one message at least, if any waits."""
        taken: list[_Message] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].body) <= SENT_AT_ONCE_BYTES):
            taken.append(self._waiting.popleft())
            size += len(taken[-1].body)
        self._waiting_bytes -= size
        if not self._waiting:
            self._wake.clear()
        return taken

    def _drop(self) -> None:
        """An event that arrives late and out of order helps nobody, PostgreSQL has it."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._wake.clear()

    async def _send(self, messages: Sequence[_Message]) -> None:
        if not messages:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for message in messages:
                    pipe.publish(channel(message.timeline_id), message.body)
                    if message.closes:
                        pipe.publish(CLOSED_CHANNEL, str(message.timeline_id))
                await pipe.execute()
            self._away = False
            metrics.EVENTS_PUBLISHED.add(by=len(messages))
        except REDIS_AWAY as error:
            metrics.PUBLISH_FAILURES.add()
            self._drop()
            if not self._away:
                logger.warning("Redis is away, viewers read from PostgreSQL until it is back: %s", error)
            self._away = True
        except Exception:
            metrics.PUBLISH_FAILURES.add()
            self._drop()
            # Logged and not raised: this loop serves every timeline of the process, and it may not end.
            logger.exception("Publishing failed in an unforeseen way; viewers read from PostgreSQL")
            await self._redis.connection_pool.disconnect()
            self._away = True
        except asyncio.CancelledError:
            self._give_back(messages)  # who follows knows by their numbers which of them came already
            raise

    def _give_back(self, messages: Sequence[_Message]) -> None:
        self._waiting.extendleft(reversed(messages))
        self._waiting_bytes += sum(len(message.body) for message in messages)
        self._wake.set()
