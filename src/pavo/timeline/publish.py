"""The fast path: committed events go to Redis. Whatever is lost here is read from PostgreSQL by those who follow."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

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
SAID_CHANNEL = "said:"
"""Likewise of its deltas, and of the key that keeps what was said so far."""
KEPT_SECONDS = 900
"""For so long Redis keeps what an attempt said that neither went on nor ended, as of a worker that died; and so long it
knows the newest attempt."""
KEPT = "kept"
"""The field of that key with the whole; empty where nothing is said."""

_NOBODY = uuid.UUID(int=0)

_SAY = """
local newest = redis.call('HGET', KEYS[1], 'attempt')
if newest and tonumber(newest) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'kept', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
"""
"""Keep the whole and tell of what was added, unless a newer attempt has spoken: one that was paused says no more."""


def channel(timeline_id: object) -> str:
    """The Redis channel of a subject's events."""
    return f"{CHANNEL}{timeline_id}"


def said_channel(timeline_id: object) -> str:
    """The Redis channel of a subject's deltas."""
    return f"{SAID_CHANNEL}{timeline_id}"


def kept_key(timeline_id: object) -> str:
    """The Redis key of what was said so far."""
    return f"pavo:said:{timeline_id}"


@dataclass(frozen=True, slots=True)
class _Message:
    """An event on its way, as Redis gets it."""

    timeline_id: uuid.UUID
    body: bytes
    closes: bool = False
    attempt: int | None = None
    """Of deltas: who says them."""
    kept: bytes = b""
    """Of deltas: what Redis keeps from now on."""
    to: str = ""
    """The channel of what is neither."""

    @property
    def is_event(self) -> bool:
        """Whether it is one."""
        return self.attempt is None and not self.to

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.body) + len(self.kept)

    def put(self, pipe: Pipeline) -> None:
        """Add what sends it."""
        if self.to:
            pipe.publish(self.to, self.body)
            return
        if self.attempt is None:
            pipe.publish(channel(self.timeline_id), self.body)
            if self.closes:
                pipe.publish(CLOSED_CHANNEL, str(self.timeline_id))
            return
        key, name = kept_key(self.timeline_id), said_channel(self.timeline_id)
        pipe.eval(_SAY, 1, key, self.attempt, self.kept, KEPT_SECONDS, name, self.body)  # type: ignore[arg-type]


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
        self._away = self._refused = False

    def start(self) -> None:
        """Begin publishing on the running event loop."""
        self._task = KeptRunning(self._run, "timeline-publisher")

    def publish(self, events: Sequence[Event]) -> None:
        """Hand over committed events; returns at once."""
        self._hand_over([_Message(event.timeline_id, event.as_json(), event.closes) for event in events])

    def say(self, timeline_id: uuid.UUID, attempt: int, message: bytes, kept: bytes = b"") -> None:
        """Hand over deltas, or that they are over, in the order of events; returns at once.

        Args:
            attempt: whose word it is; once a newer one has spoken it counts no more.
            message: see `deltas.Said.message`, `deltas.over_message`.
            kept: what whoever comes later is told; empty: nothing.
        """
        self._hand_over([_Message(timeline_id, message, attempt=attempt, kept=kept)])

    def tell(self, name: str, message: bytes) -> None:
        """Hand over a message for another channel, in the order of the others; returns at once."""
        self._hand_over([_Message(_NOBODY, message, to=name)])

    def _hand_over(self, messages: Sequence[_Message]) -> None:
        for message in messages:
            self._waiting.append(message)
            self._waiting_bytes += message.size
        while len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            self._waiting_bytes -= self._waiting.popleft().size
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
        while self._waiting and (not taken or size + self._waiting[0].size <= SENT_AT_ONCE_BYTES):
            taken.append(self._waiting.popleft())
            size += taken[-1].size
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
                    message.put(pipe)
                answers: list[object] = await pipe.execute(raise_on_error=False)
            self._away = False
            self._see_refusals(answers)
            metrics.EVENTS_PUBLISHED.add(by=sum(message.is_event for message in messages))
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

    def _see_refusals(self, answers: Sequence[object]) -> None:
        """Redis answers and takes a message not, as where it has no memory or its user may not do it."""
        refusals = [answer for answer in answers if isinstance(answer, RedisError)]
        if refusals:
            metrics.PUBLISH_FAILURES.add()
            if not self._refused:
                logger.warning("Redis refuses what is published; viewers read from PostgreSQL: %s", refusals[0])
        self._refused = bool(refusals)

    def _give_back(self, messages: Sequence[_Message]) -> None:
        self._waiting.extendleft(reversed(messages))
        self._waiting_bytes += sum(message.size for message in messages)
        self._wake.set()
