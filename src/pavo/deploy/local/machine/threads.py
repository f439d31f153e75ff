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
    """Do it in a thread, and be there until its end, even when cancelled meanwhile.

    A thread cannot be ended from outside. Who is cancelled must not let go what the work needs, a server or the lock of
    a data directory, while it goes on; so CancelledError is raised after its end, which is then not told.
    """
    # A bare future, no task: what ends an event loop cancels all tasks.
    doing = asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({doing})
        doing.exception()
        raise
