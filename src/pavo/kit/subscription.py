"""A Redis subscription on one connection. When the connection breaks, it begins anew with the same channels."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from pavo.kit.cancellation import end

logger = logging.getLogger(__name__)

T = TypeVar("T")
REDIS_AWAY: Final = (RedisError, OSError, RuntimeError)
"""The errors that mean that Redis is away. uvloop raises RuntimeError when a connection was reset a moment before a
write; redis-py lets it pass, and it would end a publisher or a listener for good."""
PING_SECONDS = 2.0
"""How often the connection is tested by PING; it is dead when no answer has come by the next one."""
CONFIRM_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.05
MAX_PAUSE_SECONDS = 2.0


class _Never(Retry):
    """No retries: a connection that the driver restored by itself would have missed messages without a sign of it."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], *_arguments: object, **_options: object) -> T:
        return await do()


class Subscription:
    """Begins anew on another connection whenever its own breaks or falls silent. Belongs to the loop that runs it."""

    def __init__(
        self,
        redis: Redis,
        always: Iterable[str],
        take: Callable[[str, bytes], None],
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            redis: whose server it is; the connection is this one's alone.
            always: channels that are wanted as long as it runs; at least one, which keeps the connection open.
            take: is told each message and its channel.
            begun: is told of each new connection; messages may have been missed before it.
        """
        self._redis, self._take, self._begun = redis, take, begun
        self._wanted = set(always)
        self._asked = set[str]()
        """Channels that this connection has asked for."""
        self._confirmed = set[str]()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._changed = asyncio.Event()
        self._heard = 0.0
        self.connected = False

    async def want(self, channel: str) -> None:
        """Ask for a channel's messages, and wait until Redis has confirmed it: a second at most, and not at all while
        Redis is away.

        `drop` may follow at any time, also when this was cancelled.
        """
        self._wanted.add(channel)
        if channel not in self._asked:
            self._changed.set()
        if not self.connected or channel in self._confirmed:
            return
        confirmed = asyncio.Event()
        self._waiting.setdefault(channel, set()).add(confirmed)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await confirmed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[channel].discard(confirmed)
            if not self._waiting[channel]:
                del self._waiting[channel]

    def drop(self, channel: str) -> None:
        """Ask for no more of a channel."""
        self._wanted.discard(channel)
        self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled; errors of Redis are logged and survived."""
        pool, pause = self._redis.connection_pool, FIRST_PAUSE_SECONDS
        kwargs: dict[str, Any] = {**pool.connection_kwargs, "retry": _Never(NoBackoff(), 0)}
        own = Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **kwargs))
        try:
            while True:
                try:
                    async with own.pubsub() as pubsub:
                        await self._live(pubsub)
                except REDIS_AWAY as error:
                    if self.connected:
                        logger.warning("Redis is away, its messages are missed: %s", error)
                except Exception:
                    # Logged and not raised: those who depend on it would wait for ever.
                    logger.exception("Listening to Redis failed in an unforeseen way")
                pause = FIRST_PAUSE_SECONDS if self.connected else min(pause * 2, MAX_PAUSE_SECONDS)
                self._lost()
                await asyncio.sleep(pause)
        finally:
            self._lost()
            with contextlib.suppress(*REDIS_AWAY):
                await own.aclose()

    def _lost(self) -> None:
        self.connected = False
        self._asked, self._confirmed = set[str](), set[str]()
        for events in self._waiting.values():
            for confirmed in events:
                confirmed.set()

    async def _live(self, pubsub: PubSub) -> None:
        """One connection's life; ends by its error."""
        self._asked = set(self._wanted)
        await pubsub.subscribe(*self._asked)
        self._heard = time.monotonic()
        self.connected = True
        self._begun()
        tasks = asyncio.create_task(self._read(pubsub)), asyncio.create_task(self._keep(pubsub))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(*tasks)

    async def _read(self, pubsub: PubSub) -> None:
        messages = cast("AsyncIterator[dict[str, Any]]", pubsub.listen())
        async for message in messages:
            self._heard = time.monotonic()
            name = message["channel"]
            channel = name.decode() if isinstance(name, bytes) else str(name)
            match message["type"]:
                case "message":
                    self._take(channel, bytes(message["data"]))
                case "subscribe":
                    self._confirmed.add(channel)
                    for confirmed in self._waiting.get(channel, ()):
                        confirmed.set()
                case "unsubscribe":
                    self._confirmed.discard(channel)
                case _:
                    pass

    async def _keep(self, pubsub: PubSub) -> None:
        """Ask for what is wanted, and for nothing else; and whether the connection lives."""
        asked = self._heard
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            if not (pubsub.connection and pubsub.connection.is_connected):
                raise RedisConnectionError("the connection was lost")  # asking on another one would hide that
            await self._ask(pubsub)
            if time.monotonic() - asked >= PING_SECONDS:
                if self._heard < asked:
                    raise RedisConnectionError(f"no answer for {PING_SECONDS:g} s")
                asked = time.monotonic()
                await pubsub.ping("pavo")

    async def _ask(self, pubsub: PubSub) -> None:
        if new := self._wanted - self._asked:
            self._asked |= new
            await pubsub.subscribe(*new)
        if old := self._asked - self._wanted:
            self._confirmed -= old
            self._asked -= old
            await pubsub.unsubscribe(*old)
