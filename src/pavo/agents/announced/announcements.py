"""The announcements of live workers, in Redis.

A worker keeps one key that expires soon, and listens to a channel of its own (`runs.presence`): of one that died its
connection is gone at once, of one whose machine died the key is gone within seconds.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final, cast

from pydantic import ValidationError
from redis.asyncio import Redis

from pavo.agents.announced.announcement import Announcement, announcement_of
from pavo.agents.registry import AgentRegistry
from pavo.kit.subscription import REDIS_AWAY
from pavo.runs.presence import ASK_SECONDS, Presence

logger = logging.getLogger(__name__)

REPEAT_SECONDS: Final = 3.0
EXPIRE_SECONDS: Final = 12
"""A worker that is too busy for several repeats is still there."""
NAMES_SECONDS: Final = 3_600
"""How long the name of a worker that has not ended in order is kept."""


class Announcements:
    """Of the workers of one task queue."""

    def __init__(self, redis: Redis, namespace: str, task_queue: str) -> None:
        self._redis = redis
        # Redis may be shared by several stacks, as in `runs.presence`.
        self._names = f"pavo:agents:{namespace}:{task_queue}"
        self._presence = Presence(redis, namespace, task_queue)

    async def announce(self, worker: str, build: str | None, registry: AgentRegistry) -> None:
        """For a worker: say what it has until cancelled, then take it back.

        Args:
            worker: its name in `runs.presence`.
        """
        said = (await _described(build, registry)).model_dump_json()
        try:
            while True:
                try:
                    await self._say(worker, said)
                except REDIS_AWAY as error:
                    logger.info("Redis does not take which agents are here: %s", error)
                except Exception:
                    # Logged and not raised: it would be silent for as long as the worker lives.
                    logger.exception("Saying which agents are here failed in an unforeseen way")
                await asyncio.sleep(REPEAT_SECONDS)
        finally:
            await self._take_back(worker)

    async def live(self) -> tuple[int, Sequence[Announcement]] | None:
        """How many workers live, and what those that have announced their agents say; None while Redis is away."""
        workers = await self._presence.workers()
        if workers is None:
            return None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return workers, await self._read() if workers else []
        except (TimeoutError, *REDIS_AWAY) as error:
            logger.info("Redis does not tell which agents the workers have: %s", error)
            return None

    async def _read(self) -> Sequence[Announcement]:
        named = cast(list[bytes], await self._redis.zrange(self._names, 0, -1))
        names = await self._presence.those_alive([name.decode() for name in named])
        texts = await self._redis.mget([self._key(name) for name in names]) if names else []
        return [said for name, text in zip(names, texts, strict=True) if text and (said := _parsed(name, text))]

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
            logger.info("Redis does not take back which agents are here; it expires: %s", error)


async def _described(build: str | None, registry: AgentRegistry) -> Announcement:
    """Imported on a thread that nobody waits for: an import that never ends must not keep a worker from its end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Announcement] = loop.create_future()

    def tell(said: Announcement) -> None:
        if not found.done():
            found.set_result(said)

    def describe() -> None:
        said = announcement_of(build, registry.cards(), registry.broken())
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, said)

    threading.Thread(target=describe, name="pavo-agents-announced", daemon=True).start()
    return await found


def _parsed(worker: str, text: bytes | str) -> Announcement | None:
    try:
        return Announcement.model_validate_json(text)
    except ValidationError as error:
        logger.warning("What worker %s says of its agents cannot be read: %s", worker, error)
        return None
