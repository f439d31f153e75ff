"""What a process leaves that was killed before it could end all: found by descent and by a mark, and killed."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from pavo.kit.processes import ProcessIdentity, parents

logger = logging.getLogger(__name__)

_VARIABLE: Final = "STARTED_BELOW_PAVO"
"""In the environment of what an agent's process starts: which one that is."""
_SECONDS: Final = 3.0
_CLEAN: Final = 2
"""Looks that find nothing before it is believed: who is just starting a program has no environment to be read."""


def mark_what_it_starts() -> None:
    """From here on the programs that this process starts have its mark in their environment (Linux)."""
    if (mark := mark_of(os.getpid())) is not None:
        os.environ[_VARIABLE] = mark


def mark_of(pid: int) -> str | None:
    """That of a live process, for `end_what_it_left` when it has ended; None where there are no marks."""
    identity = ProcessIdentity.of(pid) if sys.platform == "linux" else None
    return identity and f"{identity.pid}-{identity.started}"


async def end_what_it_left(mark: str | None) -> None:
    """Kill whoever has this mark of a process that has ended."""
    if mark is not None:
        await asyncio.to_thread(kill_marked, _VARIABLE, mark)


def kill_marked(variable: str, mark: str) -> None:
    """Kill whoever has this mark in the environment that its program was started with (Linux), until nobody has."""
    wanted = f"{variable}={mark}".encode()
    _kill(lambda: (pid for pid in _pids() if wanted in _environment(pid)), lambda pid: wanted in _environment(pid))


def kill_below(top: int) -> None:
    """Kill whoever descends from this live process (Linux), which adopts those whose parent ends, until nobody does."""
    _kill(lambda: below(top), lambda pid: pid in below(top))


def _kill(find: Callable[[], Iterable[int]], is_one: Callable[[int], bool]) -> None:
    until, clean = time.monotonic() + _SECONDS, 0
    while clean < _CLEAN:
        found = list(find())
        clean = 0 if found else clean + 1
        for pid in found:
            process = ProcessIdentity.of(pid)
            if process is not None and is_one(pid):  # asked again: another may have got the number
                with contextlib.suppress(PermissionError):
                    process.signal(signal.SIGKILL)
        if time.monotonic() > until:
            logger.warning("Processes are still there that were to be killed: %s.", found[:20])
            return
        time.sleep(0.005 if found else 0)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - cheap
    except OSError:
        return []


def _environment(pid: int) -> bytes:
    """Empty also of those who have ended, and where it may not be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def below(top: int) -> set[int]:
    """Those that live and descend from this process (Linux; elsewhere none)."""
    above, found = parents(), {top}
    while more := {pid for pid, parent in above.items() if parent in found} - found:
        found |= more
    return found - {top}
