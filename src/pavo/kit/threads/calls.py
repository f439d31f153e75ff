"""A call on a thread of its own: whoever hangs on threads that are shared cannot hold it up, nor it others.

A thread cannot be killed. One that hangs is left behind, and does not keep the process from ending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class ThreadCall:
    """A call, and what comes of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.outcome: Future[Any] = Future()

    def run(self) -> None:
        """Call it, on the current thread, unless nobody waits for it any more."""
        if not self.outcome.set_running_or_notify_cancel():
            return
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


def begin_in_thread(name: str, function: Callable[..., T], *arguments: Any) -> "Future[T]":
    """Call `function`, in the caller's context variables, on a thread of its own.

    Args:
        name: of the thread.

    Raises:
        RuntimeError: the process can have no more threads.
    """
    call = ThreadCall(partial(contextvars.copy_context().run, function, *arguments))
    threading.Thread(target=call.run, name=name, daemon=True).start()
    return call.outcome


async def call_in_thread(name: str, function: Callable[..., T], *arguments: Any) -> T:
    """`begin_in_thread`, and wait for what the function returns, or raise what it raises."""
    return await asyncio.wrap_future(begin_in_thread(name, function, *arguments))
