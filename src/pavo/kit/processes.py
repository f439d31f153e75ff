"""A process that cannot be mistaken for another, its end with the one that started it, and ends for lack of memory."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""
_HAS_PROC = Path("/proc/self/stat").exists()
VMSTAT = Path("/proc/vmstat")
_GROUPS = Path("/sys/fs/cgroup")
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start_time(pid: int) -> str | None:
    """When the process began, in the kernel's words; None when it is gone."""
    fields = _stat(pid)
    if fields is None:
        return None if _HAS_PROC else _by_ps("lstart", pid)
    return None if fields[0] in "ZX" else fields[19]


def is_stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP, SIGTSTP) keeps the process from running. A debugger that holds it is no signal."""
    fields = _stat(pid)
    state = fields[0] if fields else "" if _HAS_PROC else _by_ps("state", pid) or ""
    return state.startswith("T")


def parents() -> dict[int, int]:
    """The parent of each live process (Linux; elsewhere of none), by pid."""
    pids = [int(place.name) for place in Path("/proc").glob("[0-9]*")] if _HAS_PROC else []
    found = ((pid, _stat(pid)) for pid in pids)
    return {pid: int(fields[1]) for pid, fields in found if fields and fields[0] not in "ZX"}


def _stat(pid: int) -> list[str] | None:
    """Of proc_pid_stat(5), from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _by_ps(what: str, pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process by its pid and its start: a later one may get the same pid, but it has begun later."""

    pid: int
    started: str
    """As `start_time` tells it."""

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """The identity of a live process."""
        started = start_time(pid)
        return cls(pid, started) if started else None

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal if that very process still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait_gone(self, seconds: float) -> bool:
        """Wait for its end; False when it still runs after so long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.alive():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True


async def has_ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Whether it ends within so long, whatever becomes of its pipes.

    `Process.wait` waits for the end of its pipes too: for ever where one is full that nobody reads, or where another
    process holds it.
    """
    until = asyncio.get_running_loop().time() + seconds
    while process.returncode is None and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.02)
    return process.returncode is not None


async def kill_session(process: asyncio.subprocess.Process, seconds: float = 5.0) -> None:
    """End a process that leads a session of its own, with all of the session, and close its pipes; nothing that it has
    still to say is read.

    Args:
        seconds: to wait for its end at most: a process that the kernel does not let go is left to it.
    """
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await has_ended(process, seconds)
    finally:
        cast(Any, process)._transport.close()
    await asyncio.sleep(0)


def child_dies_with_us(number: int) -> Callable[[], None] | None:
    """A `preexec_fn`: the new child gets this signal when the thread that started it ends (Linux; elsewhere None)."""
    if _libc is None:
        return None
    parent = os.getpid()

    def prepare() -> None:
        ask_for_parents_end(number)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return prepare


def die_with_parent(parent: int, die: Callable[..., NoReturn]) -> None:
    """In a child: call `die` when its parent ends (Linux), at once when it has ended; and at SIGTERM, on any system.

    Args:
        parent: its pid, which the parent itself tells: by now another process may have adopted the child.
    """
    signal.signal(signal.SIGTERM, die)
    ask_for_parents_end(signal.SIGTERM)
    if os.getppid() != parent:
        die()


def ask_for_parents_end(number: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def kills_for_memory(place: Path = VMSTAT) -> int:
    """How many processes the kernel has killed for lack of memory, as this file says; 0 where it does not tell.

    Args:
        place: by default those of the whole machine since it booted.
    """
    return _kills_in(place) or 0


@dataclass(frozen=True, slots=True)
class KillsForMemory:
    """Whether the kernel kills for lack of memory while a process lives."""

    place: Path
    before: int

    @classmethod
    def beside(cls, pid: int) -> "KillsForMemory":
        """From now on, in the memory group of this process (its container, its service), else on the whole machine."""
        for place in _tellers(pid):
            if (before := _kills_in(place)) is not None:
                return cls(place, before)
        return cls(VMSTAT, 0)

    def more(self) -> bool:
        """Whether it has killed since."""
        return kills_for_memory(self.place) > self.before


def _tellers(pid: int) -> Iterator[Path]:
    """The files that may tell, the nearest first; see cgroups(7)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            within = group.lstrip("/")
            if "memory" in controllers.split(","):
                # A container may name its group as the machine does, and see it as the root.
                yield from (_GROUPS / "memory" / each / "memory.oom_control" for each in (within, ""))
            elif not controllers:
                yield from (_GROUPS / each / "memory.events" for each in (within, ""))
    yield VMSTAT


def _kills_in(place: Path) -> int | None:
    try:
        lines = place.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
