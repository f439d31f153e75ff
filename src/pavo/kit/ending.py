"""Ending background tasks for certain."""

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5


async def end(*tasks: "asyncio.Task[Any] | asyncio.Future[Any] | None") -> None:
    """Cancel tasks and wait for their ends; their errors are not raised.

    Asks again where a cancellation got lost: a library that catches it at the wrong moment goes on as if nothing was.
    """
    left = {task for task in tasks if task is not None}
    while left := {task for task in left if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_SECONDS)
