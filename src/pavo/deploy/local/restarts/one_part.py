"""Starting one part of a running stack again, from within its supervisor's process."""

import asyncio
import signal
from typing import Final

from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.parts import kind_of
from pavo.errors import Unavailable

POLL_SECONDS: Final = 0.05


async def restart_part(supervisor: Supervisor, name: str) -> None:
    """Ask a part to end, and wait until its successor is ready; one that does not end within its drain time is killed.

    The spare worker goes first, for it was made of what is to be replaced.

    Raises:
        Unavailable: the part does not run at the moment.
    """
    kind = kind_of(name)
    if kind.name == "worker":
        await supervisor.drop_spare()
    before = supervisor.signal(name, kind.stop_signal)
    try:
        async with asyncio.timeout(kind.drain_seconds):
            await _until_replaced(supervisor, name, before)
    except TimeoutError:
        supervisor.signal(name, signal.SIGKILL)
        await _until_replaced(supervisor, name, before)
    await supervisor.until_ready(name)


async def _until_replaced(supervisor: Supervisor, name: str, before: int) -> None:
    while True:
        try:
            if supervisor.pid(name) != before:
                return
        except Unavailable:
            pass
        await asyncio.sleep(POLL_SECONDS)
