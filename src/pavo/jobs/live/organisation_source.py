"""What an organisation's socket says: its jobs and its queue as they change, and lines of logs where they are wanted,
each once.
"""

import asyncio
import uuid
from contextlib import suppress
from typing import Final

from pavo.jobs.live.changes import ChangeService
from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import message
from pavo.jobs.live.sockets import Write
from pavo.jobs.logs.domain import LogFilter
from pavo.jobs.logs.feed import LogFeed

LOOK_SECONDS: Final = 10.0
"""Whoever was not woken for so long looks all the same."""


class OrganisationSource:
    """Changes after a cursor, a page at a time, and only when the client has taken the one before.

    Args:
        feed: says when this process ends.
        cursor: where the reader was; None: nowhere yet.
        lines: which lines are wanted; None: none.
    """

    def __init__(
        self,
        changes: ChangeService,
        feed: LogFeed,
        organisation_id: uuid.UUID,
        cursor: ChangeCursor | None,
        lines: LogFilter | None,
    ) -> None:
        self._changes, self._feed = changes, feed
        self._organisation_id, self._cursor, self._lines = organisation_id, cursor, lines

    async def tell(self, write: Write) -> None:
        """Tell for as long as anybody listens; who may have missed something is told `begin` first."""
        cursor, whole = await self._changes.begin(self._cursor)
        if not whole:
            await write(message("begin", cursor))
        mine, logs = self._organisation_id, self._lines is not None
        with self._feed.nudges(mine) as woken, self._changes.watch.waking(mine, woken, logs=logs):
            while not self._feed.ending:
                woken.clear()
                page = await self._changes.after(mine, cursor, self._lines)
                for each in page.told:
                    await write(each.as_message())
                if page.next == cursor:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await woken.wait()
                cursor = page.next
