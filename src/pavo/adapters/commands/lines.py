"""What a program prints, line by line, in bounds: it is read no faster than its lines are taken."""

import asyncio
from collections import deque
from typing import Final, cast

from pavo.agents.contract import MAX_CHECKPOINT_BYTES, MAX_STEP_EVENT_BYTES, MAX_STEP_MESSAGE_BYTES

MAX_LINE: Final = 2 * MAX_CHECKPOINT_BYTES + MAX_STEP_EVENT_BYTES + MAX_STEP_MESSAGE_BYTES
"""Bytes of a line: the largest step, and room for what JSON adds where a language escapes all that is not ASCII."""
_WAITING_LINES: Final = 100
_WAITING_BYTES: Final = 256_000


class TooLong(ValueError):
    """A line has more than MAX_LINE bytes."""


class Lines(asyncio.Protocol):
    """Lines that are to be taken, one after the other."""

    def __init__(self) -> None:
        self.received = 0
        """Bytes."""
        self._transport: asyncio.ReadTransport | None = None
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._rest = bytearray()
        self._ended = False
        self._more: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came, and read no more where enough is waiting."""
        self.received += len(data)
        first, *others = data.split(b"\n")
        self._rest += first
        for each in others:
            self._lines.append(bytes(self._rest))
            self._bytes += len(self._rest)
            self._rest = bytearray(each)
        if self._is_full() and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()

    def take(self) -> bytes | None:
        """A line that is there.

        Raises:
            TooLong: there is none, and what there is of one is too long already.
        """
        if not self._lines:
            if len(self._rest) > MAX_LINE:
                raise TooLong
            return None
        line = self._lines.popleft()
        self._bytes -= len(line)
        if not self._is_full() and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if len(line) > MAX_LINE:
            raise TooLong
        return line

    @property
    def ended(self) -> bool:
        """Nothing comes any more."""
        return self._ended

    @property
    def cut(self) -> bytes:
        """The beginning of a line whose end has not come."""
        return bytes(self._rest)

    async def wait(self, seconds: float) -> None:
        """Until something came, or so long."""
        if self._ended or self._lines:
            return
        self._more = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, self._wake)
        try:
            await self._more
        finally:
            timer.cancel()
            self._more = None

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _is_full(self) -> bool:
        return len(self._lines) > _WAITING_LINES or self._bytes > _WAITING_BYTES or len(self._rest) > MAX_LINE
