"""How a part and its supervisor talk: lines on the file descriptors named by PAVO_READY_FD and PAVO_TURN_FD."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Final

from pavo import __version__

GENTLE: Final = 5
"""Nice value of work that nobody waits for; with 10 it made no progress at all beside busy processes."""


def announce_ready() -> None:
    """Write `VERSION …` and `READY` once to the supervisor, if there is one; without one, do nothing."""
    descriptor = os.environ.pop("PAVO_READY_FD", None)
    if descriptor is None:
        return
    os.write(int(descriptor), f"VERSION {__version__}\nREADY\n".encode())
    os.close(int(descriptor))


def is_spare() -> bool:
    """Whether this process waits for its turn."""
    return "PAVO_TURN_FD" in os.environ


def await_turn() -> bool:
    """Write `WAITING` and wait until a worker is to be replaced; False when the supervisor has gone.

    The pid of the one that died is in PAVO_REPLACES afterwards, as it is for a worker that is started afresh.
    """
    if "PAVO_READY_FD" in os.environ:
        os.write(int(os.environ["PAVO_READY_FD"]), b"WAITING\n")
    with os.fdopen(int(os.environ.pop("PAVO_TURN_FD")), "r") as pipe:
        line = pipe.readline()
    os.environ["PAVO_REPLACES"] = line.strip()
    return line.endswith("\n")


def gently(work: Callable[[], object]) -> None:
    """Run `work` with low priority and wait for it; the process itself keeps its own.

    On Linux a priority belongs to a thread, and once lowered it cannot be raised again: hence a thread for the work.
    """
    if sys.platform != "linux":
        work()
        return

    def run() -> None:
        os.nice(GENTLE)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
