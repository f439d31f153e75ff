"""What a job's socket says: its events and the lines of its log, each once, each with the cursor to come back with."""

import asyncio
from contextlib import aclosing
from typing import Final

import orjson

from pavo.jobs.live.cursors import JobCursor
from pavo.jobs.live.sockets import Write
from pavo.jobs.logs.domain import LogFilter
from pavo.jobs.logs.service import JobLogService
from pavo.timeline.domain import Subject
from pavo.timeline.watching import WatchService

AGAIN_SECONDS: Final = 1.0
"""A job that is over may be queued again: so often its log is looked at then."""


class JobSource:
    """Two sources with one cursor."""

    def __init__(self, watching: WatchService, logs: JobLogService, subject: Subject, cursor: JobCursor) -> None:
        self._watching, self._logs = watching, logs
        self._subject, self._cursor = subject, cursor

    async def events(self, write: Write) -> None:
        """The timeline; ends when the job is deleted, or its readers are sent elsewhere."""
        found = await self._watching.stream(self._subject, self._cursor.seq)
        if found is None:
            return
        async with aclosing(found):
            async for events in found:
                for seq, data in events:
                    self._cursor.seq = seq
                    await write(self._message(b"event", b"event", data))

    async def lines(self, write: Write) -> None:
        """The log, for as long as anybody listens."""
        while not self._logs.ending:
            found = await self._logs.follow(self._subject.id, self._cursor.line, LogFilter())
            if found is not None:
                async with aclosing(found):
                    async for lines in found:
                        for line in lines:
                            self._cursor.line = line.cursor
                            await write(self._message(b"log", b"line", line.as_json()))
            await asyncio.sleep(AGAIN_SECONDS)

    def _message(self, kind: bytes, member: bytes, data: bytes) -> bytes:
        cursor = orjson.dumps(str(self._cursor))
        return b'{"kind":"%s","cursor":%s,"%s":%s}' % (kind, cursor, member, data)
