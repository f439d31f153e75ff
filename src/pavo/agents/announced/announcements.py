"""The announcements of live workers, in Redis.

A worker keeps one key that expires soon, and listens to a channel of its own (`runs.presence`): of one that died its
connection is gone at once, of one whose machine died the key is gone within seconds.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis

from pavo.kit.subscription import REDIS_AWAY
from pavo.runs.presence import ASK_SECONDS, Presence

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=BaseModel)
"""What one worker says."""

REPEAT_SECONDS: Final = 3.0
EXPIRE_SECONDS: Final = 12
"""A worker that is too busy for several repeats is still there."""
NAMES_SECONDS: Final = 3_600
"""How long the name of a worker that has not ended in order is kept."""


class Announcements(Generic[S]):
    """Of the workers of one task queue, about one kind of thing.

    Args:
        kind: what one worker says.
        noun: of what.
    """

    def __init__(self, redis: Redis, namespace: str, task_queue: str, kind: type[S], noun: str) -> None:
        self._redis = redis
        self._kind = kind
        self._noun = noun
        # Redis may be shared by several stacks, as in `runs.presence`.
        self._names = f"pavo:{noun}:{namespace}:{task_queue}"
        self._presence = Presence(redis, namespace, task_queue)

    async def announce(self, worker: str, describe: Callable[[], BaseModel], *, changes: bool = False) -> None:
        """For a worker: say what it has until cancelled, then take it back.

        Args:
            worker: its name in `runs.presence`.
            describe: what it has; called on a thread, for it may import that.
            changes: whether it may have something else after a while.
        """
        said = await self._described(describe)
        try:
            while True:
                try:
                    await self._say(worker, said.model_dump_json())
                    said = await self._described(describe) if changes else said
                except REDIS_AWAY as error:
                    logger.info("Redis does not take which %s are here: %s", self._noun, error)
                except Exception:
                    # Logged and not raised: it would be silent for as long as the worker lives.
                    logger.exception("Saying which %s are here failed in an unforeseen way", self._noun)
                await asyncio.sleep(REPEAT_SECONDS)
        finally:
            await self._take_back(worker)

    async def live(self) -> tuple[int, Sequence[S]] | None:
        """How many workers live, and what those that have announced something say; None while Redis is away."""
        workers = await self._presence.workers()
        if workers is None:
            return None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return workers, await self._read() if workers else []
        except (TimeoutError, *REDIS_AWAY) as error:
            logger.info("Redis does not tell which %s the workers have: %s", self._noun, error)
            return None

    async def _read(self) -> Sequence[S]:
        named = cast(list[bytes], await self._redis.zrange(self._names, 0, -1))
        names = await self._presence.those_alive([name.decode() for name in named])
        texts = await self._redis.mget([self._key(name) for name in names]) if names else []
        return [said for name, text in zip(names, texts, strict=True) if text and (said := self._parsed(name, text))]

    def _key(self, worker: str) -> str:
        return f"{self._names}:{worker}"

    async def _say(self, worker: str, said: str) -> None:
        seconds, _ = await self._redis.time()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._key(worker), said, ex=EXPIRE_SECONDS)
            pipe.zadd(self._names, {worker: seconds})
            pipe.zremrangebyscore(self._names, 0, seconds - NAMES_SECONDS)
            pipe.expire(self._names, NAMES_SECONDS)
            await pipe.execute()

    async def _take_back(self, worker: str) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._redis.delete(self._key(worker))
                await self._redis.zrem(self._names, worker)
        except (TimeoutError, *REDIS_AWAY) as error:
            logger.info("Redis does not take back which %s are here; it expires: %s", self._noun, error)

    async def _described(self, describe: Callable[[], BaseModel]) -> BaseModel:
        """On a thread that nobody waits for: an import that never ends must not keep a worker from its end."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[BaseModel] = loop.create_future()

        def tell(said: BaseModel) -> None:
            if not found.done():
                found.set_result(said)

        def run() -> None:
            said = describe()
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, said)

        threading.Thread(target=run, name=f"pavo-{self._noun}-announced", daemon=True).start()
        return await found

    def _parsed(self, worker: str, text: bytes | str) -> S | None:
        try:
            return self._kind.model_validate_json(text)
        except ValidationError as error:
            logger.warning("What worker %s says of its %s cannot be read: %s", worker, self._noun, error)
            return None
