"""Ending whatever lives below this process, also what starts others faster than it is found."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from pavo.kit.descendants.remains import below

_ROUNDS: Final = 20
"""Looks for who was started while others were being stopped."""
_CLEAN: Final = 2
"""Looks that find nobody before it is believed: who was killed hands its children over a moment later."""


@dataclass(slots=True)
class Swept:
    """What a sweep found."""

    killed: set[int] = field(default_factory=set[int])
    """Pids of whoever lived."""
    left: set[int] = field(default_factory=set[int])
    """Pids of whoever lives all the same: another user's, or the kernel keeps it."""


def signal_all(pids: Collection[int], number: int) -> None:
    """Send them a signal; who is gone, or another user's, is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap() -> dict[int, int]:
    """Forget all children that have ended, whoever started them; exit codes by pid, negative ones signals."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found[pid] = os.waitstatus_to_exitcode(status)


def sweep_below(seconds: float, reaped: Callable[[dict[int, int]], None]) -> Swept:
    """Stop all that descends from this process, which adopts orphans (`adopt_orphans`), then kill it, until nobody is
    left. Who is stopped starts nobody, so that a program which starts itself anew for ever is caught too.

    Args:
        seconds: for it to take at most.
        reaped: told of those that were killed and had become children of this process.
    """
    until, clean, swept = time.monotonic() + seconds, 0, Swept()
    while clean < _CLEAN:
        found = _stopped()
        clean = 0 if found else clean + 1
        swept.killed |= found
        signal_all(found, signal.SIGKILL)
        reaped(reap())
        if time.monotonic() > until:
            swept.left = below(os.getpid())
            break
        time.sleep(0.005 if found else 0)
    return swept


def _stopped() -> set[int]:
    """Those below, who now stand still as far as this process may stop them."""
    found: set[int] = set()
    for _ in range(_ROUNDS):
        more = below(os.getpid()) - found
        if not more:
            break
        signal_all(more, signal.SIGSTOP)
        found |= more
    return found
