"""Whose turn it is: where other tasks wait for a slot or a place of a worker, attempts make room in turn."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.errors import PavoError
from pavo.observe import metrics
from pavo.temporal.failures import NoSuchRun

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""Between two looks at who waits: the server itself counts them anew no more often."""


class Turns:
    """The slots of one worker. `take` and `watch` run on the worker's event loop, `is_over` on the agents' loop.

    Args:
        slots: attempts at once.
        seconds: how long an attempt keeps its slot while others wait.
        queued: how many attempts wait for a slot of any worker; raises where that cannot be told.
        handed_back: how many attempts this worker has handed back for want of a place. Temporal offers them again after
            a while, and does not count them as queued meanwhile.
    """

    def __init__(
        self,
        slots: int,
        seconds: float,
        queued: Callable[[], Awaitable[int]],
        handed_back: Callable[[], int],
        loop: AgentLoop,
    ) -> None:
        self._slots = slots
        self._seconds = seconds
        self._queued = queued
        self._handed_back = handed_back
        self._loop = loop
        self._taken = 0
        self._wanted = 0
        """How many slots are to be given up; belongs to the agents' loop."""

    @contextmanager
    def take(self) -> Generator[None]:
        """Hold a slot."""
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def is_over(self, begun: float) -> bool:
        """Whether an attempt that began at this time (monotonic) gives its slot up; one for each who waits.

        Whoever asks ends where the answer is yes. Any attempt that is old enough may: the oldest may be in a long step.
        """
        if self._wanted <= 0 or time.monotonic() - begun < self._seconds:
            return False
        self._wanted -= 1
        metrics.TURNS.add()
        return True

    async def watch(self) -> None:
        """Look who waits, until cancelled: who is handed back, and, for as long as all slots are in use, who is queued.

        A place may be wanting while slots are free: the first stretch of a quick agent takes the one and not the other.
        """
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds))
            queued = await self._look() if self._taken >= self._slots else 0
            self._loop.call_soon(self._want, queued + self._handed_back())

    async def _look(self) -> int:
        try:
            return await self._queued()
        except (PavoError, NoSuchRun) as error:
            logger.info("Who waits for a slot cannot be told: %s", error)
        except Exception:
            logger.exception("Who waits for a slot cannot be told")
        return 0

    def _want(self, slots: int) -> None:
        self._wanted = slots
