"""A thread with an event loop of its own for all agents' code, apart from the Temporal worker's.

So heartbeats go out on time while a step is busy. A step that blocks the loop for too long ends the process, and
another worker takes its tasks over; otherwise they would all stay alive and stuck.
"""

import asyncio
import contextvars
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import uvloop

from pavo.agents.asking.waiting import follow_tasks
from pavo.agents.deaths import blocks
from pavo.agents.hosts.boundary import cut, guarded, run_until
from pavo.kit.threads.by_owner import ThreadsByOwner

logger = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_STALLED = 70
"""Exit code of a worker whose agents' loop hangs (EX_SOFTWARE of sysexits.h), and which has told by whose fault."""
EXIT_UNKNOWN = 71
"""The same where it is not known whose fault it is."""
STALL_SECONDS = 60.0
"""For so long an agent inside of the worker may block the event loop of all, unless it declares its own limit."""
WARN_SECONDS = 10.0
"""After so long it is warned, in the log, with the remedy."""
TASK_THREADS = 32
"""For what the code of one task hands to `asyncio.to_thread`, those that hang included; as many as Python gives a whole
process at most."""
_STOP_SECONDS = 10.0
_LOG_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AtWork:
    """An agent whose code runs on the loop."""

    task_id: str
    label: str
    """For people: the agent and its task."""
    silence_seconds: float | None
    """How long it may block the loop, where it says so itself."""


at_work: ContextVar[AtWork | None] = ContextVar("at_work", default=None)
"""Set before an agent's code begins; what that starts inherits it."""


def _task_at_work() -> str | None:
    agent = at_work.get()
    return agent and agent.task_id


def _exit(_blocking: AtWork | None) -> None:
    os._exit(EXIT_STALLED)


class AgentLoop:
    """Runs coroutines on a thread of its own; `start` and `stop` it once.

    `on_stall` is called, on a thread of its own, when the loop has not answered for `stall_seconds` (or what the agent
    that blocks it declares), or has crashed. It is told which agent blocks, where that is known; by default the process
    exits with EXIT_STALLED.
    """

    def __init__(
        self,
        *,
        stall_seconds: float = STALL_SECONDS,
        warn_seconds: float = WARN_SECONDS,
        on_stall: Callable[[AtWork | None], None] = _exit,
    ) -> None:
        self._stall_seconds = stall_seconds
        self._warn_seconds = warn_seconds
        self._on_stall = on_stall
        self._at_work: WeakKeyDictionary[asyncio.Task[Any], AtWork] = WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="pavo-agents", daemon=True)
        self._watchdog = threading.Thread(target=self._watch, name="pavo-agents-watchdog", daemon=True)
        self._started = threading.Event()
        self._stopping = threading.Event()
        self._beat = threading.Event()
        self._jobs: set[_Job] = set()
        self._left = False

    def start(self) -> None:
        """Start the threads; returns when the loop runs."""
        self._thread.start()
        self._started.wait()
        self._watchdog.start()

    async def run_on_agents_thread(self, factory: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `factory()` on the agents' thread and its loop, in the caller's context variables, and wait for its end.

        As with `await task`, cancelling the caller cancels the coroutine, and what the coroutine then does - end, or
        return a result after all - is what the caller sees.

        Raises:
            RuntimeError: the loop does not run.
            whatever the coroutine raises.
        """
        caller = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = caller.create_future()
        job = _Job(factory, contextvars.copy_context(), caller, outcome)
        loop = self._running()
        self._jobs.add(job)
        outcome.add_done_callback(lambda _: self._jobs.discard(job))
        loop.call_soon_threadsafe(job.begin)
        while True:
            try:
                return await asyncio.shield(outcome)
            except asyncio.CancelledError:
                if outcome.done():
                    # A result that came together with the cancellation: the work is done, and the caller must know.
                    return outcome.result()
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(job.cancel)

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        """Call `callback` on the agents' loop, from any thread; nothing happens when the loop has ended."""
        with suppress(RuntimeError):
            self._running().call_soon_threadsafe(callback, *args)

    def stop(self) -> None:
        """Cancel what runs, wait for its end (at most 10 s) and end the threads. Blocks: not from the loop itself."""
        if self._loop is None or self._stopping.is_set():
            return
        self._stopping.set()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave, self._loop)
        self._thread.join(_STOP_SECONDS + 1)
        self._beat.set()
        self._watchdog.join(_LOG_SECONDS)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = True
        loop.stop()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._stopping.is_set() or not self._thread.is_alive():
            raise RuntimeError("The agents' loop does not run.")
        return self._loop

    def _serve(self) -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        follow_tasks(loop)
        loop.set_task_factory(self._new_task)
        loop.set_default_executor(ThreadsByOwner(_task_at_work, TASK_THREADS))
        self._loop = loop
        loop.call_soon(self._started.set)
        try:
            run_until(loop, lambda: self._left)
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        except BaseException:
            logger.critical("The agents' event loop has crashed.", exc_info=True)
            raise
        finally:
            loop.close()
            for job in list(self._jobs):
                job.abandon()
            if not self._stopping.is_set():
                self._on_stall(None)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """A task that remembers for which agent it was made: Python 3.11 does not tell a task's context."""
        task = guarded(loop, coro, **options)
        context: contextvars.Context | None = options.get("context")
        agent = at_work.get() if context is None else context.get(at_work)
        if agent is not None:
            self._at_work[task] = agent
        return task

    def _blocking(self) -> AtWork | None:
        """Whose code runs at this moment; from any thread."""
        task = asyncio.current_task(self._loop)
        return self._at_work.get(task) if task is not None else None

    def _watch(self) -> None:
        """Notice a stall. It counts turns without an answer instead of reading the clock: a worker that was paused as a
        whole has not stalled."""
        assert self._loop is not None
        interval = min(self._stall_seconds, self._warn_seconds) / 10
        silence, warned = 0.0, False
        while not self._stopping.wait(interval) and self._thread.is_alive():
            if self._beat.is_set():
                silence, warned = 0.0, False
                self._ask()
                continue
            silence += interval
            agent = self._blocking()
            limit = (agent and agent.silence_seconds) or self._stall_seconds
            if silence >= limit:
                self._report(logging.CRITICAL, f"The agents' event loop has not answered for {silence:g} s")
                self._on_stall(agent)
                return
            if silence >= self._warn_seconds and not warned:
                warned = True
                who = agent.label if agent is not None else "An agent, or what it started,"
                self._report(logging.WARNING, blocks(who, silence, limit))
            elif silence == interval:
                self._ask()

    def _ask(self) -> None:
        assert self._loop is not None
        self._beat.clear()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._beat.set)

    def _report(self, level: int, message: str) -> None:
        """Log where the thread hangs. On another thread: the one that hangs may hold the log's lock."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # pyright: ignore[reportPrivateUsage]
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
        arguments = (level, "%s; its thread is here:\n%s", message, stack)
        log = threading.Thread(target=logger.log, args=arguments, daemon=True)
        log.start()
        log.join(_LOG_SECONDS)


class _Job:
    """One coroutine on the agents' loop; `begin` and `cancel` run there."""

    def __init__(
        self,
        factory: Callable[[], Coroutine[Any, Any, Any]],
        context: contextvars.Context,
        caller: asyncio.AbstractEventLoop,
        outcome: asyncio.Future[Any],
    ) -> None:
        self._factory = factory
        self._context = context
        self._caller = caller
        self._outcome = outcome
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._call(), context=self._context)
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """Cancel the caller's wait, from any thread: the loop has ended without an outcome."""
        with suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._outcome.cancel)

    async def _call(self) -> Any:
        return await self._factory()

    def _done(self, task: asyncio.Task[Any]) -> None:
        with suppress(RuntimeError):  # the caller's loop may be closed
            self._caller.call_soon_threadsafe(self._deliver, task)

    def _deliver(self, task: asyncio.Task[Any]) -> None:
        if self._outcome.done():
            return
        if task.cancelled():
            self._outcome.cancel()
        elif error := task.exception():
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(task.result())


async def _end_tasks() -> None:
    """Cancel every task and wait for their ends, but not for ever."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        cut(task)
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for task in left:
            logger.error("An agent's task did not end: %r", task)
