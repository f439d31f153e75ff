"""One at a time works on a data directory."""

import fcntl
import os
from typing import IO

from pavo.deploy.layout import Layout
from pavo.errors import Conflict


def take_lock(layout: Layout) -> IO[str]:
    """The data directory for us alone, until the file is closed or this process ends, however it ends.

    Raises:
        Conflict: a stack runs there, or somebody works on its data.
    """
    lock = layout.lock.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(
            f"A stack runs on {layout.root} already.",
            field="--data-dir",
            remedy="Look at it with pavo status, end it with pavo down, or choose another --data-dir.",
        ) from error
    os.set_inheritable(lock.fileno(), False)
    return lock
