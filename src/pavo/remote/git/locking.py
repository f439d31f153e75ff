"""One at a time on a folder: among the coroutines of this program, and among programs."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from pavo.remote.errands.failures import GIT_FAILED, failed

WAIT_SECONDS: Final = 3600.0
"""A first clone of a large repository takes long."""
_TICK: Final = 0.1


@contextlib.asynccontextmanager
async def locked(place: Path, seconds: float = WAIT_SECONDS) -> AsyncGenerator[None]:
    """Hold the lock of this file, which is made; it ends with the process, however that ends.

    Raises:
        CommandFailed: somebody else holds it for so long.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waited = 0.0
        while not _try(descriptor):
            if waited > seconds:
                raise failed(
                    GIT_FAILED,
                    f"{place.parent.name} is in use for {seconds:g} s.",
                    "Look at the agent.",
                    retryable=True,
                )
            await asyncio.sleep(_TICK)
            waited += _TICK
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
