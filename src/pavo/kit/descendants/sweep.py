"""Ending whatever lives below this process, also what starts others faster than it is found."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from pavo.kit.descendants.below import children
from pavo.kit.descendants.remains import below
from pavo.kit.processes import start_time

_ROUNDS: Final = 20
"""Looks for who was started while others were being stopped."""


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


def has_children() -> bool:
    """Whether anybody is below this process, which adopts orphans: the kernel's own word, which no child that starts
    another and ends in the same moment slips through, as one may through any list that is read piece by piece."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def sweep_below(seconds: float, reaped: Callable[[dict[int, int]], None]) -> Swept:
    """Stop all that descends from this process, which adopts orphans (`adopt_orphans`), then kill it, until nobody is
    left. Who is stopped starts nobody, so that a program which starts itself anew for ever is caught too.

    Args:
        seconds: for it to take at most.
        reaped: told of those that were killed and had become children of this process.
    """
    until, swept = time.monotonic() + seconds, Swept()
    reaped(reap())
    while has_children():
        found = _stopped()
        swept.killed |= found
        signal_all(found, signal.SIGKILL)
        reaped(reap())
        if time.monotonic() > until:
            swept.left = below(os.getpid())
            break
        time.sleep(0.005 if found else 0)
    return swept


def _stopped() -> set[int]:
    """Those below, who now stand still as far as this process may stop them. Its own children come first, and at once:
    who starts itself anew for ever is among them, for a moment."""
    found: set[int] = set()
    for _ in range(_ROUNDS):
        near = children() - found
        signal_all(near, signal.SIGSTOP)
        more = {pid for pid in near if start_time(pid)} | (below(os.getpid()) - found)
        if not more:
            break
        signal_all(more, signal.SIGSTOP)
        found |= more
    return found
