"""Lines of bytes from a process that is not trusted: bounded each, and in number and bytes over time. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MESSAGE_BYTES: Final = 2_000_000
"""Of one message; a result that is kept has 256,000 at most."""
WINDOW_SECONDS: Final = 10.0
WINDOW_BYTES: Final = 64_000_000
WINDOW_MESSAGES: Final = 20_000
"""Within a window. Each costs a fifth of a millisecond."""

_ENDS: Final = 300
"""Bytes at the beginning and at the end of a line in which it says which request it answers."""
_FIRST: Final = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,15})\s*[,}]')
_LAST: Final = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class Flooded(Exception):
    """More comes than is read."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was longer than is kept."""

    request: int | None
    """The request that it answers, where that can be told."""


class Lines:
    """Splits what a process writes.

    Args:
        limit: bytes of one line.
    """

    def __init__(self, limit: int = MESSAGE_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._head: bytes | None = None
        """The beginning of a line that is too long: the rest of it is passed over."""
        self._window = 0.0
        self._bytes = 0
        self._messages = 0

    def feed(self, chunk: bytes, now: float) -> Iterator[bytes | TooLong]:
        """The lines that are whole now.

        Args:
            now: seconds of a clock that only goes forward.

        Raises:
            Flooded: within the last seconds too much has come.
        """
        self._count(now, size=len(chunk))
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._buffer += part
            self._count(now, messages=1)
            yield self._line()
        self._buffer += rest
        if self._head is None and len(self._buffer) > self._limit:
            self._head = bytes(self._buffer[:_ENDS])
        if self._head is not None:
            del self._buffer[:-_ENDS]

    def _line(self) -> bytes | TooLong:
        line = bytes(self._buffer)
        self._buffer.clear()
        head, self._head = self._head, None
        if head is None and len(line) <= self._limit:
            return line
        found = _FIRST.match(head or line[:_ENDS]) or _LAST.search(line[-_ENDS:])
        return TooLong(int(found[1]) if found else None)

    def _count(self, now: float, *, size: int = 0, messages: int = 0) -> None:
        if now - self._window > WINDOW_SECONDS:
            self._window, self._bytes, self._messages = now, 0, 0
        self._bytes += size
        self._messages += messages
        if self._bytes > WINDOW_BYTES or self._messages > WINDOW_MESSAGES:
            raise Flooded(f"it wrote more than {WINDOW_MESSAGES:,} messages or {WINDOW_BYTES // 10**6} MB in 10 s")
