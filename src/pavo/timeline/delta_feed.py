"""Deltas on their way from Redis to the viewers of one process. What Redis loses is lost; nothing else waits for it."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from pavo.kit.subscription import REDIS_AWAY
from pavo.timeline.deltas import Live
from pavo.timeline.publish import KEPT, kept_key
from pavo.timeline.viewers import Viewer

logger = logging.getLogger(__name__)

SPREAD_SECONDS: Final = 0.08
"""Between two frames of one subject at least. Less than what workers leave between two messages, so that it delays
those alone that come in a bunch."""
AGAIN_SECONDS: Final = 0.25
"""After so long those are tried again that had not taken what they were sent."""
READ_AT_ONCE: Final = 50
"""What Redis keeps of so many subjects is read in one round trip."""


class DeltaFeed:
    """What is said about the subjects that somebody watches. Belongs to one event loop.

    Args:
        viewers: those of a subject.
    """

    def __init__(self, redis: Redis, viewers: Callable[[uuid.UUID], Collection[Viewer]]) -> None:
        self._redis = redis
        self._viewers = viewers
        self._live: dict[uuid.UUID, Live] = {}
        self._shown: dict[uuid.UUID, float] = {}
        self._timers: dict[uuid.UUID, asyncio.TimerHandle] = {}

    def watch(self, timeline_id: uuid.UUID) -> bool:
        """Begin to follow a subject; whether it was not followed before."""
        new = timeline_id not in self._live
        self._live.setdefault(timeline_id, Live())
        return new

    def leave(self, timeline_id: uuid.UUID) -> None:
        """Nobody watches it any more."""
        self._live.pop(timeline_id, None)
        self._shown.pop(timeline_id, None)
        if (timer := self._timers.pop(timeline_id, None)) is not None:
            timer.cancel()

    @property
    def watched(self) -> Sequence[uuid.UUID]:
        """What it follows."""
        return list(self._live)

    def take(self, timeline_id: uuid.UUID, data: bytes) -> bool:
        """Take a message of Redis; False where one before it was missed, so that `read` is wanted."""
        live = self._live.get(timeline_id)
        if live is None:
            return True
        whole = live.take(orjson.loads(data))
        self._show_soon(timeline_id)
        return whole

    async def read(self, timeline_ids: Sequence[uuid.UUID]) -> None:
        """Read what Redis keeps of these."""
        try:
            for first in range(0, len(timeline_ids), READ_AT_ONCE):
                some = timeline_ids[first : first + READ_AT_ONCE]
                heard = {each: live.heard for each in some if (live := self._live.get(each)) is not None}
                async with self._redis.pipeline(transaction=False) as pipe:
                    for each in some:
                        pipe.hget(kept_key(each), KEPT)
                    kept = await pipe.execute()
                for timeline_id, data in zip(some, kept, strict=True):
                    self._follow_kept(timeline_id, orjson.loads(data) if data else None, heard.get(timeline_id))
        except REDIS_AWAY as error:
            logger.info("What was said so far cannot be read: %s", error)
        except Exception:
            # Logged and not raised: deltas are a courtesy, and the next message is read all the same.
            logger.exception("What was said so far cannot be read")

    def _follow_kept(self, timeline_id: uuid.UUID, kept: Any, heard: int | None) -> None:
        live = self._live.get(timeline_id)
        if live is None or (kept is None and live.heard != heard):
            return  # nothing was said when it was read, and something has been since
        live.read(kept)
        self._show_soon(timeline_id)

    def show(self, viewer: Viewer) -> None:
        """Show one viewer what it lacks, if it has all events."""
        live = self._live.get(viewer.timeline_id)
        if live is not None and viewer.deltas is not None and viewer.idle and not viewer.deltas.show(live):
            self._later(viewer.timeline_id, AGAIN_SECONDS)

    def _show_soon(self, timeline_id: uuid.UUID) -> None:
        now = asyncio.get_running_loop().time()
        wait = self._shown.get(timeline_id, 0.0) + SPREAD_SECONDS - now
        if wait <= 0 and timeline_id not in self._timers:
            self._show_all(timeline_id)
        else:
            self._later(timeline_id, max(0.0, wait))

    def _later(self, timeline_id: uuid.UUID, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(timeline_id)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[timeline_id] = loop.call_later(seconds, self._due, timeline_id)

    def _due(self, timeline_id: uuid.UUID) -> None:
        del self._timers[timeline_id]
        self._show_all(timeline_id)

    def _show_all(self, timeline_id: uuid.UUID) -> None:
        self._shown[timeline_id] = asyncio.get_running_loop().time()
        for viewer in self._viewers(timeline_id):
            self.show(viewer)
