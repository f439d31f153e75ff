"""An executor that gives each owner threads of its own, so that calls of one that hang never hold up another's."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pavo.kit.threads.calls import ThreadCall


@dataclass(slots=True)
class _Threads:
    """What one owner has."""

    count: int = 0
    waiting: deque[ThreadCall] = field(default_factory=deque[ThreadCall])
    """For one of them to be done."""


class ThreadsByOwner(ThreadPoolExecutor):
    """Event loops take no executor of another class; of its methods `submit`, `map` and `shutdown` are to be used.

    A thread that hangs is left behind, and does not keep the process from ending.

    Args:
        owner: who submits a call, asked on the thread and in the context of `submit`.
        most: threads at once of one owner; its other calls wait until one of them is done.
    """

    def __init__(self, owner: Callable[[], Hashable], most: int) -> None:
        super().__init__(1)  # it begins none of its own
        self._owner = owner
        self._most = most
        self._by_owner: dict[Hashable, _Threads] = {}
        self._guard = threading.Lock()
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`."""
        call, owner = ThreadCall(partial(fn, *args, **kwargs)), self._owner()
        with self._guard:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            threads = self._by_owner.setdefault(owner, _Threads())
            if threads.count >= self._most:
                threads.waiting.append(call)
                return call.outcome
            threads.count += 1
        try:
            threading.Thread(target=self._work, args=(owner, threads, call), name=f"of {owner}", daemon=True).start()
        except BaseException:
            self._next(owner, threads)
            raise
        return call.outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those that run are left to themselves."""
        with self._guard:
            self._ended = True
            waiting = [call for threads in self._by_owner.values() for call in threads.waiting]
        for call in waiting if cancel_futures else ():
            call.outcome.cancel()

    def _work(self, owner: Hashable, threads: _Threads, call: ThreadCall | None) -> None:
        while call is not None:
            call.run()
            call = self._next(owner, threads)

    def _next(self, owner: Hashable, threads: _Threads) -> ThreadCall | None:
        """What the owner's thread that is done does next; None: it ends."""
        with self._guard:
            if threads.waiting:
                return threads.waiting.popleft()
            threads.count -= 1
            if not threads.count:
                del self._by_owner[owner]
            return None
