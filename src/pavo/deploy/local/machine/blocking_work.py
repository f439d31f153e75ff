"""Work that blocks (programs, files, PostgreSQL's plain connections), done beside the event loop."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def in_thread(
    work: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Do the work in a thread and wait for its end, even when cancelled meanwhile.

    A thread cannot be ended from outside. A cancelled caller must not release what the work needs, like a server or the
    lock of a data directory, while the work goes on. So CancelledError is raised only after its end, and its result is
    dropped.
    """
    # A bare future, not a task: at the end of an event loop all tasks are cancelled.
    doing = asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({doing})
        doing.exception()
        raise
