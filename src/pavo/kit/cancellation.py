"""Ending background tasks for certain."""

import asyncio
from typing import Any

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
