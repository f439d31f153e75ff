"""One at a time works on a data directory."""

import fcntl
import os
from typing import IO

from pavo.deploy.model.layout import Layout
from pavo.errors import Conflict


def take_lock(layout: Layout) -> IO[str]:
    """The data directory for us alone, until the file is closed or this process ends, however it ends.

    Raises:
        Conflict: a stack runs there, or somebody works on its data.
        FileNotFoundError: there is no such directory.
    """
    while True:
        lock = layout.lock.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise Conflict(
                f"A stack runs on {layout.root} already, or somebody works on its data.",
                field="--data-dir",
                remedy="Look at it with pavo status, end it with pavo down, or choose another --data-dir.",
            ) from error
        if _is_there(layout, lock):
            os.set_inheritable(lock.fileno(), False)
            return lock
        lock.close()


def _is_there(layout: Layout, lock: IO[str]) -> bool:
    """Whether it is still the file that others will open: who removes the data removes it too."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), layout.lock.stat())
    except FileNotFoundError:
        return False
