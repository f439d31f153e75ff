"""The parts' log files: each line with the time at which it came."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from pavo.observe.printable import printable_line

MAX_BYTES = 20_000_000
"""A log larger than this is renamed to `.1`, which replaces an older one."""


class LogFile:
    """Appends lines with their time; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def __enter__(self) -> "LogFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def move(self, path: Path) -> None:
        """Write to another file from now on."""
        with self._lock:
            self._file.close()
            self._path, self._file = path, path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        """Append one line, as a terminal may have it: whoever reads the file looks at what others wrote."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            if self._file.tell() > MAX_BYTES:
                self._file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                self._file = self._path.open("ab", buffering=0)
            # On a full disk lines are lost. Waiting instead would block the part at its next line of output.
            with contextlib.suppress(OSError):
                self._file.write(f"{now} ".encode() + _shown(line.rstrip(b"\r\n")) + b"\n")


def _shown(line: bytes) -> bytes:
    return printable_line(line.decode(errors="backslashreplace"), tabs=True).encode()


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log yet, or none is wanted."""
    if lines < 1 or not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 400 * lines - 4096))
        return _lines(file.read())[-lines:]


def new_lines(path: Path, offset: int) -> tuple[Iterator[str], int]:
    """What was appended since `offset`, and the new offset; a shorter file is read from its beginning."""
    if not path.exists():
        return iter(()), 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = offset if offset <= size else 0
        file.seek(start)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    return iter(_lines(complete)), start + len(complete)


def _lines(data: bytes) -> list[str]:
    """The lines of a log. Only a line feed ends one: `splitlines` would also end it where somebody's text says so."""
    return data.decode(errors="replace").removesuffix("\n").split("\n") if data else []
