"""How workers of this machine ended, as their supervisor saw it: told to the workers that go on with their work.

The supervisor writes each end of a worker into a file before it starts the next one; PAVO_WORKER_ENDS names the file to
every worker. Where something else supervises (Docker, Kubernetes, systemd), nobody writes one, and nothing is known.
"""

import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "PAVO_WORKER_ENDS"
KEPT: Final = 100
"""So many of the latest ends: more workers never die within the time that an attempt's successor takes to begin."""
MAX_BYTES: Final = 1_000_000
"""A larger file is none that was written here."""


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """The end of one worker process."""

    part: str
    """Its name in the stack: `worker-1`."""
    host: str
    pid: int
    code: int
    """Its exit code; of one that a signal ended, the signal's number, negative."""
    out_of_memory: bool
    """It was killed, and the kernel has killed for lack of memory while it ran."""
    at: float
    """When it was seen, in seconds since 1970 by the machine's clock."""
    asked: bool = True
    """Somebody had asked it to end, or it had decided so; files of before do not say."""

    @property
    def identity(self) -> str:
        """Its name in Temporal."""
        return f"{self.pid}@{self.host}"

    @property
    def holder(self) -> str:
        """How the names of its leases begin."""
        return f"{self.host}:{self.pid}:"

    @property
    def words(self) -> str:
        """For people: "was killed by SIGSEGV", "ended with code 3", "was killed for lack of memory"."""
        if self.out_of_memory:
            return "was killed for lack of memory"
        return f"was killed by {_signal_name(-self.code)}" if self.code < 0 else f"ended with code {self.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def read_ends(path: Path | None = None) -> list[WorkerEnd]:
    """The latest ends, the newest last; none where nobody tells them, or where the file is broken.

    Args:
        path: the file; default: the one that PAVO_WORKER_ENDS names.
    """
    chosen = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if chosen is None:
        return []
    try:
        with chosen.open("rb") as file:
            raw: list[dict[str, Any]] = json.loads(file.read(MAX_BYTES))
        return [WorkerEnd(**each) for each in raw]
    except (OSError, ValueError, TypeError):
        return []


def end_of(holder: str, path: Path | None = None) -> WorkerEnd | None:
    """How the worker that holds a lease ended; None where that is not known, or where it lives.

    Args:
        holder: the lease's: `HOST:PID:…`. A pid comes again: what is told is the latest end of one.
    """
    return next((end for end in reversed(read_ends(path)) if holder.startswith(end.holder)), None)


def tell_asked() -> None:
    """Tell, from within a worker, that it ends because somebody asked it to: what ends so by code 0 is no exit of an
    agent's. Nobody listens where nothing supervises; what cannot be told is not known."""
    if os.environ.get(VARIABLE):
        with suppress(OSError):
            mark = _asked(Path(os.environ[VARIABLE])) / str(os.getpid())
            mark.parent.mkdir(mode=0o700, exist_ok=True)
            mark.touch(mode=0o600)


def was_asked(path: Path, pid: int) -> bool:
    """Whether this worker, which has ended, told so. It is asked for once.

    Args:
        path: the file of ends.
    """
    try:
        (_asked(path) / str(pid)).unlink()
    except OSError:
        return False
    return True


def forget_asked(path: Path) -> None:
    """Forget what workers of an earlier supervisor told."""
    with suppress(OSError):
        for mark in _asked(path).iterdir():
            mark.unlink()


def _asked(path: Path) -> Path:
    return path.with_suffix(".asked")


def with_end(
    known: Sequence[WorkerEnd], part: str, pid: int, code: int, *, out_of_memory: bool, at: float, asked: bool
) -> str:
    """The file's text with one more end of a worker of this machine."""
    end = WorkerEnd(part, socket.gethostname(), pid, code, out_of_memory, at, asked)
    return json.dumps([asdict(each) for each in (*known, end)][-KEPT:])
