"""Reading what a program prints, line by line, bounded, and never longer than the program lives."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pavo.remote.processes.contract import OnLine, OutputLine

Stream: TypeAlias = Literal["stdout", "stderr"]
_PIECE: Final = 65_536
_LAST_BYTES: Final = 4_000_000
"""Read at most of what is still in a pipe after the end; more than a pipe holds, so only what cannot be killed prints
more."""


@dataclass(slots=True)
class _Line:
    """One that is not complete yet."""

    limit: int
    kept: bytearray = field(default_factory=bytearray)
    cut: int = 0

    def add(self, data: bytes) -> None:
        room = self.limit - len(self.kept)
        self.kept += data[:room]
        self.cut += max(len(data) - room, 0)

    def taken(self, stream: Stream) -> OutputLine:
        text = bytes(self.kept).removesuffix(b"\r").decode(errors="replace").replace("\0", "\ufffd")
        line = OutputLine(stream, text, self.cut)
        self.kept, self.cut = bytearray(), 0
        return line


class Pipe:
    """The reading end of a stream of a program, for one event loop. Whoever makes it closes it.

    Args:
        source: a descriptor, which becomes this object's.
    """

    def __init__(self, source: int, stream: Stream, line_bytes: int, on_line: OnLine) -> None:
        os.set_blocking(source, False)
        self._stream: Stream = stream
        self._source, self._on_line = source, on_line
        self._line = _Line(line_bytes)
        self._ready = asyncio.Event()
        self._ended = False
        self.received = 0
        """Bytes so far."""
        self.last_byte = time.monotonic()
        """When the last came, or when the last line was taken."""

    async def follow(self) -> None:
        """Tell every line until the pipe ends, or is empty once the program has ended (`end`)."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._source, self._ready.set)
        try:
            await self._follow()
        finally:
            loop.remove_reader(self._source)

    def end(self) -> None:
        """The program has ended: what is in the pipe is read, and no more is waited for."""
        self._ended = True
        self._ready.set()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._source)

    async def _follow(self) -> None:
        last = 0
        while last < _LAST_BYTES:
            data = self._read()
            if data is None and not self._ended:
                self._ready.clear()
                await self._ready.wait()
                continue
            if not data:
                break
            last += len(data) if self._ended else 0
            for line in self._lines(data):
                await self._tell(line)
            await asyncio.sleep(0)  # others have their turn, however much is printed
        if self._line.kept:
            await self._tell(self._line.taken(self._stream))

    def _read(self) -> bytes | None:
        """None: nothing at this moment. Empty: never more."""
        try:
            data = os.read(self._source, _PIECE)
        except BlockingIOError:
            return None
        if data:
            self.received += len(data)
            self.last_byte = time.monotonic()
        return data

    def _lines(self, data: bytes) -> Iterator[OutputLine]:
        *complete, rest = data.split(b"\n")
        for each in complete:
            self._line.add(each)
            yield self._line.taken(self._stream)
        self._line.add(rest)

    async def _tell(self, line: OutputLine) -> None:
        await self._on_line(line)
        self.last_byte = time.monotonic()  # a reader that is slow is no silence of the program
