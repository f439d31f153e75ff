"""An event loop in a thread of its own, for programs whose own threads block."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopInThread:
    """Runs from `start` to `close`; or as a context manager.

    Args:
        name: of the thread, for people.
        daemon: whether the interpreter may end while it runs.
    """

    def __init__(self, name: str, *, daemon: bool = False) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=daemon)

    def __enter__(self) -> "LoopInThread":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Have it run."""
        self._thread.start()

    def close(self) -> None:
        """End it; what runs on it is to have ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def begin(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Run it in that thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it in that thread and wait for its result; an interruption of this thread cancels it."""
        running = self.begin(work)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise
