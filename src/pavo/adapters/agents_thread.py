"""A thread for code that blocks, such as an orchestrator's: an agent's coroutine has it do one thing after the other.

A thread cannot be ended from outside. What is cut while it works is told so at the next moment that it can hear it:
when it is done with what it does, or waits for the event loop.
"""

import asyncio
import concurrent.futures
import contextvars
import queue
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pavo.agents.calling.waiting_threads import Accompanied, accompany
from pavo.agents.raised import described

T = TypeVar("T")

CLOSE_SECONDS: Final = 1.5
"""For the thread to end when its agent is closed: less than Pavo itself waits for the agent."""
LEFT_SECONDS: Final = 30.0
"""For so long an attempt waits for the thread of an earlier one that is still at work in this process."""
LOOK_SECONDS: Final = 0.05

_left: dict[uuid.UUID, threading.Thread] = {}
"""Threads whose attempts are over, by task."""


class AttemptEnded(BaseException):
    """Raised on the thread where it waits for something when its attempt ends."""


class CodeFailed(RuntimeError):
    """Code on the thread raised what would mean something else to an event loop, such as SystemExit."""


@dataclass(frozen=True, slots=True)
class _Done:
    value: Any


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


@dataclass(frozen=True, slots=True)
class _Asked:
    coroutine: Coroutine[Any, Any, Any]
    answer: "concurrent.futures.Future[Any]"


class AgentsThread:
    """One thread, for one call of `execute`; belongs to the event loop on which it is made.

    Args:
        label: for people.
    """

    def __init__(self, task_id: uuid.UUID, label: str) -> None:
        self._task_id, self._label = task_id, label
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._news: asyncio.Queue[_Done | _Raised | _Asked] = asyncio.Queue()
        self._over = False
        context = contextvars.copy_context()  # with it goes where its output is kept
        self._thread = threading.Thread(target=context.run, args=(self._serve,), name=label, daemon=True)

    async def start(self) -> None:
        """Begin, once no thread of an earlier attempt at this task is at work in this process.

        Raises:
            TimeoutError: one still is.
        """
        earlier = _left.get(self._task_id)
        begun = self._loop.time()
        while earlier is not None and earlier.is_alive():
            if self._loop.time() - begun > LEFT_SECONDS:
                raise TimeoutError(f"{self._label}: an earlier attempt's call still runs in this process.")
            await asyncio.sleep(LOOK_SECONDS)
        for task_id in [each for each, thread in _left.items() if not thread.is_alive()]:
            del _left[task_id]
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Have the thread do it; its result, or what it raised. Meanwhile this awaits what the thread waits for."""
        self._work.put(work)
        while True:
            news = await self._news.get()
            match news:
                case _Done(value):
                    return value
                case _Raised(error):
                    raise error
                case _Asked(coroutine, answer):
                    await _answered(coroutine, answer)

    async def close(self, last: Callable[[], object]) -> None:
        """Have it end after `last`; where it does not within 1.5 s, it is left behind, and ends when it can."""
        self._over = True
        self._work.put(last)
        self._work.put(None)
        while not self._news.empty():
            self._refuse(self._news.get_nowait())
        if not self._thread.is_alive():
            return
        _left[self._task_id] = self._thread
        begun = self._loop.time()
        while self._thread.is_alive():
            if self._loop.time() - begun > CLOSE_SECONDS:
                sys.stderr.write(f"{self._label} does not end, and is left behind.\n{self.stack()}")
                return
            await asyncio.sleep(LOOK_SECONDS)
        _left.pop(self._task_id, None)

    def stack(self) -> str:
        """Where it is."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # pyright: ignore[reportPrivateUsage]
        return "" if frame is None else "".join(traceback.format_stack(frame))

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """On the thread: have the agent's coroutine await it."""
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._tell(_Asked(coroutine, answer))
        return answer.result()

    def _tell(self, news: _Done | _Raised | _Asked) -> None:
        def put() -> None:
            if self._over:
                self._refuse(news)
            else:
                self._news.put_nowait(news)

        try:
            self._loop.call_soon_threadsafe(put)
        except RuntimeError:  # the loop has ended
            self._refuse(news)

    @staticmethod
    def _refuse(news: _Done | _Raised | _Asked) -> None:
        if isinstance(news, _Asked):
            news.coroutine.close()
            news.answer.set_exception(AttemptEnded())

    def _serve(self) -> None:
        accompany(Accompanied(self._thread, self._wait))
        while (work := self._work.get()) is not None:
            try:
                self._tell(_Done(work()))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._tell(_Raised(error))
            except BaseException as error:  # noqa: BLE001 - likewise
                told = CodeFailed(described(error))
                told.__cause__ = error
                self._tell(_Raised(told))


async def _answered(coroutine: Coroutine[Any, Any, Any], answer: "concurrent.futures.Future[Any]") -> None:
    """Await it in the agent's own coroutine, so that Pavo sees what the agent waits for."""
    try:
        value = await coroutine
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        answer.set_exception(error)
    except BaseException:
        answer.set_exception(AttemptEnded())
        raise
    else:
        answer.set_result(value)
