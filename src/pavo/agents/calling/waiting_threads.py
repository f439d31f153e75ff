"""Threads of an agent's that its own coroutine accompanies: what they wait for, that coroutine awaits for them.

So an attempt may end for a question that is asked on such a thread, as for any other.
"""

import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Accompanied:
    """A thread whose agent's coroutine listens to it."""

    thread: threading.Thread
    wait: Callable[[Coroutine[Any, Any, Any]], Any]
    """Has the coroutine await something, and blocks the thread until then; what it raises is raised here."""


_accompanied: ContextVar[Accompanied | None] = ContextVar("pavo_accompanied_thread", default=None)


def accompany(thread: Accompanied) -> None:
    """From here on, on this very thread, `accompanied` answers it."""
    _accompanied.set(thread)


def accompanied() -> Accompanied | None:
    """The current thread, where an agent's coroutine listens to it."""
    found = _accompanied.get()
    return found if found is not None and found.thread is threading.current_thread() else None
