"""Nudges: when a job's log has new lines. PostgreSQL has the lines; Redis only says that it is worth looking."""

import asyncio
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from redis.asyncio import Redis

from pavo.jobs.sql.log_lines import LOG_CHANNEL
from pavo.kit.cancellation import KeptRunning
from pavo.kit.subscription import Subscription

ALWAYS: Final = "job-logs"
"""Keeps the connection open; nothing is said there."""
POLL_SECONDS: Final = 1.0
"""Whoever hears nothing looks by himself so often: a hint may be lost."""


class LogFeed:
    """Wakes those who follow logs. Belongs to the event loop that calls `start`."""

    def __init__(self, redis: Redis) -> None:
        self._subscription = Subscription(redis, [ALWAYS], self._take, self._wake_all)
        self._waiting: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._task: KeptRunning | None = None
        self.ending = False
        """Whether this process ends: readers go on elsewhere."""

    def start(self) -> None:
        """Begin listening on the running event loop."""
        self._task = KeptRunning(self._subscription.run, "log-feed")

    def dismiss(self) -> None:
        """Have every reader end."""
        self.ending = True
        self._wake_all()

    async def close(self) -> None:
        """Stop listening."""
        self.dismiss()
        if self._task is not None:
            await self._task.end()

    @contextmanager
    def nudges(self, job_id: uuid.UUID) -> Generator[asyncio.Event]:
        """An event that is set whenever the job's log may have grown."""
        woken = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(woken)
        try:
            yield woken
        finally:
            group = self._waiting[job_id]
            group.discard(woken)
            if not group:
                del self._waiting[job_id]
                self._subscription.drop(f"{LOG_CHANNEL}{job_id}")

    async def listen(self, job_id: uuid.UUID) -> None:
        """Have the job's nudges come, within `nudges`."""
        await self._subscription.want(f"{LOG_CHANNEL}{job_id}")

    def _take(self, name: str, _: bytes) -> None:
        if name.startswith(LOG_CHANNEL):
            for woken in self._waiting.get(uuid.UUID(name.removeprefix(LOG_CHANNEL)), ()):
                woken.set()

    def _wake_all(self) -> None:
        for group in self._waiting.values():
            for woken in group:
                woken.set()
