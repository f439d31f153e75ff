"""Drives an agent in the calling event loop: trusted agents in the worker, and every isolated one in its child.

The imports are few on purpose: the child process pays for them at each start.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from pavo.agents.checks import checked_plan, checked_report, checked_revision, checked_step, storable
from pavo.agents.contract import JSON, Agent, AgentContext, FeedbackItem, Plan, PlanDraft, Revision, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.errors import AgentError, AgentRefused, PavoError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

_FORCED_SECONDS = 0.1
"""For so long a forced close waits for the agent to end: code in the worker's own process cannot be killed."""
_abandoned: set[asyncio.Task[Any]] = set()
"""Tasks of agents that ignore their cancellation: the event loop itself holds tasks only weakly."""


class WorkerHost:
    """An AgentHost in the calling event loop; see `pavo.agents.hosts.agent_host.AgentHost`."""

    def __init__(self, agent: type[Agent], ctx: AgentContext, limits: HostLimits) -> None:
        self._agent = agent
        self._ctx = ctx
        self._limits = limits
        self._calls: set[asyncio.Task[Any]] = set()
        self._steps: _Steps | None = None

    async def plan(self) -> PlanDraft:
        return checked_plan(await self._call(lambda: self._agent().plan(self._ctx), "plan"))

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        revision = await self._call(lambda: self._agent().revise(self._ctx, plan, feedback), "revise")
        return checked_revision(revision, feedback)

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        if self._steps is not None:
            raise RuntimeError("This host has begun execute() already.")
        self._steps = _Steps(lambda: self._agent().execute(self._ctx, plan, checkpoint), self._limits.close_seconds)

    async def next_step(self) -> Step | None:
        if self._steps is None:
            raise RuntimeError("Call open() before next_step().")
        return await self._steps.next()

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        return checked_report(await self._call(lambda: self._agent().report(self._ctx, plan, checkpoint), "report"))

    def cancel(self) -> None:
        self._ctx.cancelled.set()

    async def close(self, *, force: bool = False) -> None:
        seconds = _FORCED_SECONDS if force else self._limits.close_seconds
        if self._steps is not None:
            await self._steps.close(seconds)
        for call in list(self._calls):
            await _end(call, seconds)

    async def _call(self, call: Callable[[], Awaitable[T]], name: str) -> T:
        """Run one of the agent's coroutines in a task of its own, so that an agent that holds on can be left behind."""
        task = asyncio.create_task(_guarded(lambda: _awaited(call(), name)))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await _end(task, self._limits.close_seconds)
            raise
        return task.result()


class _Steps:
    """Runs the agent's generator in one task for its whole life.

    So time-outs, task groups and context variables may span a `yield`, and the generator is closed in the task in which
    it ran.
    """

    def __init__(self, begin: Callable[[], AsyncIterator[Step]], close_seconds: float) -> None:
        self._begin = begin
        self._close_seconds = close_seconds
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[Step | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def next(self) -> Step | None:
        if self._answer is not None and not self._answer.done():
            raise RuntimeError("A step is in flight already.")
        if self._ended:
            return None
        if self._task is None:
            self._task = asyncio.create_task(self._drive())
        elif self._task.done():
            raise RuntimeError("execute() was cut or has failed: open another host.")
        self._answer = asyncio.get_running_loop().create_future()
        self._asked.set()
        try:
            return await self._answer
        except asyncio.CancelledError:
            await _end(self._task, self._close_seconds)
            raise

    async def close(self, seconds: float) -> None:
        if self._task is not None:
            await _end(self._task, seconds)

    async def _drive(self) -> None:
        iterator: AsyncIterator[Step] | None = None
        try:
            await self._asked.wait()
            iterator = await _guarded(self._iterator)
            while True:
                self._asked.clear()
                step = await _guarded(lambda: _one(iterator))
                self._ended = step is None
                self._settle(step)
                if step is None or _is_cancelled():
                    return
                await self._asked.wait()
        except PavoError as error:
            self._settle(error)
        finally:
            if iterator is not None:
                await _close_iterator(iterator)
            self._settle(AgentError("execute() was cut."))

    async def _iterator(self) -> AsyncIterator[Step]:
        iterator: object = self._begin()
        if isinstance(iterator, Coroutine):
            cast(Coroutine[Any, Any, Any], iterator).close()
        if not hasattr(iterator, "__anext__"):
            raise AgentRefused(
                f"execute() returned {type(cast(object, iterator)).__name__}, not an async iterator. "
                "Write it as `async def` with `yield`, one for each step."
            )
        return cast(AsyncIterator[Step], iterator)

    def _settle(self, outcome: Step | PavoError | None) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        if isinstance(outcome, PavoError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


async def _one(iterator: AsyncIterator[Step]) -> Step | None:
    try:
        step = await anext(iterator)
    except StopAsyncIteration:
        return None
    return checked_step(step)


async def _awaited(result: Awaitable[T], name: str) -> T:
    if not isinstance(cast(object, result), Awaitable):
        raise AgentRefused(f"{name}() returned {type(result).__name__} at once. Write it as `async def`.")
    return await result


async def _guarded(call: Callable[[], Awaitable[T]]) -> T:
    """Run the agent's code; whatever it raises becomes an AgentError, but for Pavo's own and a true cancellation.

    SystemExit must not pass: it would end the event loop of the whole worker.
    """
    try:
        return await call()
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        raise AgentError("CancelledError: the agent cancelled itself.") from error
    except MemoryError as error:
        raise AgentError("MemoryError: the agent ran out of memory.") from error
    except Unavailable:
        raise
    except (Exception, SystemExit, BaseExceptionGroup) as error:
        raise _translated(error) from error


def _is_cancelled() -> bool:
    """Whether somebody asked the current task to end, also where the agent swallowed the exception."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def innermost(error: BaseException) -> BaseException:
    """The error itself, where a task group wrapped a single one."""
    inner = cast(Sequence[object], getattr(error, "exceptions", ()))
    if isinstance(error, BaseExceptionGroup) and len(inner) == 1 and isinstance(inner[0], BaseException):
        return innermost(inner[0])
    return cast(BaseException, error)


def _translated(error: BaseException) -> PavoError:
    error = innermost(error)
    if isinstance(error, AgentRefused):
        return AgentRefused(storable(error.detail), field=error.field, remedy=error.remedy)
    if isinstance(error, Unavailable):
        return error
    return _logged(error)


def _logged(error: BaseException) -> AgentError:
    logger.warning("The agent raised an error.", exc_info=error)
    return AgentError(storable(f"{type(error).__name__}: {_message(error)}"))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        logger.exception("An agent's exception cannot be shown.")
        return "(its message cannot be shown)"


async def _close_iterator(iterator: AsyncIterator[Step]) -> None:
    aclose: Callable[[], Awaitable[None]] | None = getattr(iterator, "aclose", None)
    if aclose is None:
        return
    try:
        await aclose()
    except (Exception, SystemExit, BaseExceptionGroup) as error:
        logger.warning("The agent's generator did not close cleanly.", exc_info=error)


async def _end(task: asyncio.Task[Any], seconds: float) -> None:
    """Cancel the task and give it this time to end; one that holds on is left behind, its results unread."""
    if task.done():
        return
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            logger.error("An agent ignored its cancellation for %s s and is left behind.", seconds)
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)
            task.cancel()
        elif not task.cancelled():
            task.exception()  # read, so that asyncio does not complain that nobody did
