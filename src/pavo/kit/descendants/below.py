"""What has been started by this process, or by what it has started: found without leave to look at other processes."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

_CHILD_SUBREAPER: Final = 36
"""prctl(2): whoever loses its parent below becomes a child of this process."""
_THREADS: Final = Path("/proc/self/task")
_CLEAN: Final = 2
"""Looks that find nobody before it is believed: who was killed hands its children over a moment later."""


_adopting: set[int] = set()
"""The pid of this process once it adopts; a copy that it forks does not."""


def adopt_orphans() -> None:
    """From here on whoever loses its parent below becomes a child of this process (Linux; elsewhere nothing
    happens)."""
    _adopting.add(os.getpid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def adopts_orphans() -> bool:
    """Whether this process said so: then all that is below it is its own."""
    return os.getpid() in _adopting


def children() -> set[int]:
    """The children of this process, on Linux, those that have ended and are not reaped among them; elsewhere none."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in _THREADS.iterdir():
            with contextlib.suppress(OSError, ValueError):
                found.update(map(int, (thread / "children").read_text().split()))
    return found


def kill_children() -> None:
    """Kill whoever is a child of this process now."""
    for each in children():
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGKILL)


def end_below(seconds: float, spared: Collection[int] = ()) -> bool:
    """Kill and reap all children of this process, and by and by what they hand over when they end (`adopt_orphans`).

    Args:
        seconds: for it to take at most.
        spared: children that others look after.

    Returns:
        Whether nobody is left.
    """
    until, clean = time.monotonic() + seconds, 0
    while clean < _CLEAN:
        found = children().difference(spared)
        clean = 0 if found else clean + 1
        for each in found:
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)
        if time.monotonic() > until:
            return False
        time.sleep(0.002 if found else 0)
    return True
