"""Log lines of attempts on their way to the gateway: numbered, on disk until they are acknowledged, bounded.

An attempt's lines lie in files of about a megabyte. Where there is no room, its oldest file goes; the number of the
next line that is read tells how many are missing. What is written survives the program's death, not the machine's.
"""

import logging
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.journal import Attempt

logger = logging.getLogger(__name__)

TEXT_BYTES: Final = 16_000
"""Of the text of a line; what is longer is cut, and says so."""
EVENT_BYTES: Final = 60_000
"""Of its event, which is left out where it is longer."""
SEGMENT_BYTES: Final = 1_000_000
ATTEMPT_BYTES: Final = 64_000_000
"""Of the lines of one attempt that are kept."""
CHUNK_BYTES: Final = 256_000
CHUNK_LINES: Final = 1_000
_HEAD: Final = struct.Struct("<II")
"""Before each line: its size, and its checksum."""
_NAME: Final = re.compile(r"(?P<job>[0-9a-f-]{36})\.(?P<epoch>[0-9]{1,19})")


@dataclass(slots=True)
class _Segment:
    """A file of lines."""

    path: Path
    first: int
    """Number of its first line."""
    size: int = 0


@dataclass(slots=True)
class _Log:
    """Of one attempt."""

    folder: Path
    segments: list[_Segment] = field(default_factory=list[_Segment])
    last: int = 0
    """Number of the last line that was made."""
    kept: int = 0
    """Number of the last line that is on disk."""
    acked: int = 0
    sent: int = 0
    """Number of the last line that was given out on this connection."""
    place: tuple[int, int] = (0, 0)
    """Where the next line to be read is: the first number of its file, and bytes in it."""
    writer: int = -1

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self.segments)


class Spool:
    """Belongs to one event loop: its calls write into the system's memory, and do not wait for the disk.

    Args:
        folder: of all attempts; it is made.
    """

    def __init__(self, folder: Path, *, attempt_bytes: int = ATTEMPT_BYTES, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._attempt_bytes, self._segment_bytes = folder, attempt_bytes, segment_bytes
        self._logs: dict[Attempt, _Log] = {}
        self.on_line: Callable[[], None] = _nobody
        """Called after each line."""
        folder.mkdir(parents=True, exist_ok=True)
        for place in folder.iterdir():
            if (found := _NAME.fullmatch(place.name)) is not None:
                self._logs[Attempt(found["job"], int(found["epoch"]))] = _read_log(place)

    def close(self) -> None:
        """Give the files back."""
        for log in self._logs.values():
            _close_writer(log)

    def add(self, attempt: Attempt, line: pb.LogLine) -> int:
        """Number a line and keep it; its number. Where the disk takes it not, it is missing, and a gap tells so."""
        log = self._log(attempt)
        log.last += 1
        line.seq, line.gap = log.last, 0
        _bound(line)
        data = line.SerializeToString()
        try:
            self._write(log, _HEAD.pack(len(data), zlib.crc32(data)) + data)
        except OSError as error:
            logger.warning("Line %s of job %s is lost: %s", log.last, attempt.job_id, error)
            _close_writer(log)
        else:
            log.kept = log.last
            self.on_line()
        return log.last

    def last_of(self, attempt: Attempt) -> int:
        """Number of the last line that was made."""
        log = self._logs.get(attempt)
        return log.last if log else 0

    def attempts(self) -> list[Attempt]:
        """Of which there are lines, or were."""
        return list(self._logs)

    def begin_at(self, attempt: Attempt, acked: int) -> None:
        """What the gateway has, at the beginning of a connection: the lines after it are given out anew."""
        log = self._log(attempt)
        log.last = max(log.last, acked)  # numbers are not given twice, also where the file is gone
        log.sent = max(acked, log.acked)
        log.place = (0, 0)
        self.acknowledge(attempt, acked)

    def acknowledge(self, attempt: Attempt, seq: int) -> None:
        """The gateway has everything up to this line."""
        log = self._logs.get(attempt)
        if log is None:
            return
        log.acked = max(log.acked, min(seq, log.last))
        while len(log.segments) > 1 and log.segments[1].first <= log.acked + 1:
            self._drop(log)

    def is_acknowledged(self, attempt: Attempt) -> bool:
        """Whether the gateway has every line."""
        log = self._logs.get(attempt)
        return log is None or log.acked >= log.kept

    def waiting(self) -> list[Attempt]:
        """Attempts with lines that were not given out on this connection."""
        return [attempt for attempt, log in self._logs.items() if log.sent < log.kept]

    def next_chunk(self, attempt: Attempt, most_bytes: int = CHUNK_BYTES) -> pb.LogChunk | None:
        """The next lines; None: there are none. The first tells how many before it are missing."""
        log = self._logs.get(attempt)
        if log is None or log.sent >= log.kept:
            return None
        chunk = pb.LogChunk(job_id=attempt.job_id, epoch=attempt.epoch)
        size = 0
        for line, place in self._lines(log):
            line.gap = max(line.seq - log.sent - 1, 0)
            if chunk.lines and (size + line.ByteSize() > most_bytes or len(chunk.lines) >= CHUNK_LINES):
                break
            size += line.ByteSize()
            chunk.lines.append(line)
            log.sent, log.place = line.seq, place
        if not chunk.lines:
            log.kept = log.sent  # somebody took the file away; the next line tells so
            return None
        return chunk

    def forget(self, attempt: Attempt) -> None:
        """Remove what is kept of an attempt."""
        log = self._logs.pop(attempt, None)
        if log is not None:
            _close_writer(log)
            shutil.rmtree(log.folder, ignore_errors=True)

    def _log(self, attempt: Attempt) -> _Log:
        if attempt not in self._logs:
            self._logs[attempt] = _Log(self._folder / f"{attempt.job_id}.{attempt.epoch}")
        return self._logs[attempt]

    def _write(self, log: _Log, data: bytes) -> None:
        if log.writer < 0 or log.segments[-1].size + len(data) > self._segment_bytes:
            _close_writer(log)
            log.folder.mkdir(parents=True, exist_ok=True)
            path = log.folder / f"{log.last}.lines"
            log.writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            log.segments.append(_Segment(path, log.last))
        while log.size + len(data) > self._attempt_bytes and len(log.segments) > 1:
            self._drop(log)
        segment = log.segments[-1]
        if os.write(log.writer, data) != len(data):
            os.ftruncate(log.writer, segment.size)
            raise OSError("no room for a whole line")
        segment.size += len(data)

    def _drop(self, log: _Log) -> None:
        """The oldest file."""
        segment = log.segments.pop(0)
        segment.path.unlink(missing_ok=True)

    def _lines(self, log: _Log) -> Iterator[tuple[pb.LogLine, tuple[int, int]]]:
        """From where reading stands, each with where it ends; those that were given out already are passed over."""
        for segment in list(log.segments):
            if segment.first < log.place[0]:
                continue
            start = log.place[1] if segment.first == log.place[0] else 0
            for line, end in _lines_of(segment.path, start):
                if line.seq > log.sent:
                    yield line, (segment.first, end)


def _nobody() -> None:
    """Is told of lines."""


def _bound(line: pb.LogLine) -> None:
    text = line.text.encode(errors="replace") if len(line.text) * 4 > TEXT_BYTES else b""
    if len(text) > TEXT_BYTES:
        line.text = f"{text[:TEXT_BYTES].decode(errors='ignore')} … ({len(text) - TEXT_BYTES:,} bytes more)"
    if len(line.event) * 4 > EVENT_BYTES and len(line.event.encode(errors="replace")) > EVENT_BYTES:
        line.event = ""


def _lines_of(path: Path, start: int) -> Iterator[tuple[pb.LogLine, int]]:
    """The whole lines of a file from there on, each with the place behind it."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        file.seek(start)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, checksum = _HEAD.unpack(head)
            data = file.read(size) if size <= 4 * (TEXT_BYTES + EVENT_BYTES) else b""
            if len(data) != size or zlib.crc32(data) != checksum:
                return
            try:
                line = pb.LogLine.FromString(data)
            except DecodeError:
                return
            yield line, file.tell()


def _read_log(folder: Path) -> _Log:
    """What an earlier life of the program left; a line that it died in is cut off."""
    log = _Log(folder)
    firsts = sorted(int(path.stem) for path in folder.glob("*.lines") if path.stem.isdecimal())
    for first in firsts:
        segment = _Segment(folder / f"{first}.lines", first)
        for line, end in _lines_of(segment.path, 0):
            log.last, log.kept, segment.size = line.seq, line.seq, end
        if segment.size:
            log.segments.append(segment)
        else:
            segment.path.unlink(missing_ok=True)
    if log.segments:
        os.truncate(log.segments[-1].path, log.segments[-1].size)
        log.acked = log.segments[0].first - 1
        log.sent = log.acked
    return log


def _close_writer(log: _Log) -> None:
    if log.writer >= 0:
        os.close(log.writer)
        log.writer = -1
