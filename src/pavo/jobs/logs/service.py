"""Use cases of jobs' logs: read in pages, follow live. Whose a job is was decided before."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Final

from pavo.errors import Unavailable
from pavo.jobs.domain import OVER
from pavo.jobs.logs import repository
from pavo.jobs.logs.domain import LogCursor, LogFilter, LogLine, LogPage
from pavo.jobs.logs.feed import POLL_SECONDS, LogFeed
from pavo.kit.sql import Database

MAX_PAGE: Final = 1_000
FOLLOWED_PAGE: Final = 200
"""Lines that a follower holds at most, by which one that never reads costs bounded memory."""
QUIET_SECONDS: Final = 9.0
"""After so long without a line a follower is told that there is none."""


class Following:
    """A job's log as one reader gets it: groups of lines; an empty one says that nothing came for a while."""

    def __init__(self, lines: AsyncGenerator[tuple[LogLine, ...]]) -> None:
        self._lines = lines
        self.left = False
        """Whether its client has left, or it was ended."""
        self.ended: str | None = None
        """Why it ended before the log did."""
        self.stopped = asyncio.Event()

    def __aiter__(self) -> "Following":
        return self

    async def __anext__(self) -> tuple[LogLine, ...]:
        if self.ended is not None:
            raise StopAsyncIteration
        return await anext(self._lines)

    def end(self, reason: str) -> None:
        """End it now, with a reason that its client is told."""
        self.left, self.ended = True, self.ended or reason
        self.stopped.set()

    async def aclose(self) -> None:
        """Leave."""
        self.left = True
        self.stopped.set()
        await self._lines.aclose()


class JobLogService:
    """Logs of jobs.

    Args:
        database: Pavo's database.
        feed: tells when a log has grown.
    """

    def __init__(self, database: Database, feed: LogFeed) -> None:
        self._database = database
        self._feed = feed

    @property
    def ending(self) -> bool:
        """Whether this process ends: readers go on elsewhere."""
        return self._feed.ending

    async def page(self, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter, limit: int) -> LogPage:
        """At most `limit` lines after a cursor, fewer where they are long."""
        async with self._database.reading() as session:
            return await repository.page(session, job_id, after, wanted, limit)

    async def follow(self, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter) -> Following | None:
        """Follow the log; None when nothing comes after the cursor: the job is over, and all was seen."""
        page, stage = await self._look(job_id, after, wanted)
        if not page.lines and stage in (None, *OVER):
            return None
        reader = _Reader(self, self._feed, job_id, after, wanted)
        following = Following(reader.lines())
        reader.stopped = following.stopped
        return following

    async def _look(self, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter) -> tuple[LogPage, str | None]:
        """The stage first: what came before the job was over is on the page."""
        async with self._database.reading() as session:
            stage = await repository.stage_of(session, job_id)
            return await repository.page(session, job_id, after, wanted, FOLLOWED_PAGE), stage

    async def look(self, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter) -> tuple[LogPage, str | None] | None:
        """The same for whoever follows; None while PostgreSQL is away."""
        try:
            return await self._look(job_id, after, wanted)
        except Unavailable:
            return None


class _Reader:
    """One follower: a page at a time, and only when its client has taken the one before."""

    def __init__(
        self, logs: JobLogService, feed: LogFeed, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter
    ) -> None:
        self._logs, self._feed = logs, feed
        self._job_id, self._after, self._wanted = job_id, after, wanted
        self._told = time.monotonic()
        self.stopped = asyncio.Event()

    async def lines(self) -> AsyncGenerator[tuple[LogLine, ...]]:
        """Groups of lines in order; ends when the job is over and all was read."""
        with self._feed.nudges(self._job_id) as woken:
            await self._feed.listen(self._job_id)
            while not self._feed.ending and not self.stopped.is_set():
                woken.clear()
                found = await self._logs.look(self._job_id, self._after, self._wanted)
                page, stage = found if found is not None else (None, "")
                if page is not None and page.lines:
                    self._after = page.next
                    yield page.lines
                    self._told = time.monotonic()
                    continue
                if page is not None and stage in (None, *OVER):
                    return
                if time.monotonic() - self._told > QUIET_SECONDS:
                    yield ()
                    self._told = time.monotonic()
                await _any(woken, self.stopped)


async def _any(woken: asyncio.Event, stopped: asyncio.Event) -> None:
    """Wait for one of them, for as long as nobody looks by himself."""
    tasks = [asyncio.create_task(each.wait()) for each in (woken, stopped)]
    try:
        await asyncio.wait(tasks, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
