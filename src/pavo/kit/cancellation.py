"""Ending background tasks for certain, and keeping those that nobody but their owner may end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5


async def end(*tasks: "asyncio.Task[Any] | asyncio.Future[Any] | None") -> None:
    """Cancel tasks and wait until they have ended; their errors are not raised. A caller that is cancelled meanwhile
    waits for them first.

    Cancels again where a cancellation got lost: a library that catches it at the wrong moment goes on as if nothing had
    happened.
    """
    given = {task for task in tasks if task is not None}
    cancelled: asyncio.CancelledError | None = None
    while left := {task for task in given if not task.done()}:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=AGAIN_SECONDS)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in given:
        if not task.cancelled():
            task.exception()  # so that asyncio does not report it as never retrieved
    if cancelled is not None:
        raise cancelled


class KeptRunning:
    """A loop in the background that runs until its owner ends it, and begins again whenever anything else has ended it.

    On an event loop that it shares with foreign code, that may cancel it; then nothing would tell those who wait for
    what it does. So the loop itself has to leave everything as it was, or answered, wherever it is cut.

    Args:
        run: the loop; it is to return at no time.
        name: of its task, for people.
    """

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._run = run
        self._name = name
        self._kept = True
        self._again: asyncio.TimerHandle | None = None
        self._begin()

    async def end(self) -> None:
        """End it for good."""
        self._kept = False
        if self._again is not None:
            self._again.cancel()
        await end(self._task)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not self._kept:
            return
        if task.cancelled():
            logger.warning("%s was cancelled by somebody else; it begins again.", self._name)
            self._begin()
        else:
            # Not at once: what fails at its beginning would fail without an end.
            logger.error("%s has ended; it begins again.", self._name, exc_info=task.exception())
            self._again = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._begin)
