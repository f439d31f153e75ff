"""What may interrupt an agent's work inside an activity, and how the work is cut then."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pavo.errors import AgentError
from pavo.kit.clock import wait_awake

T = TypeVar("T")

STOP: Final = "stop"
"""Temporal cancelled the activity: somebody stopped the task."""
HINT: Final = "hint"
"""Somebody is about to; the workflow knows whether it is true."""
SHUTDOWN: Final = "shutdown"
"""The worker shuts down; another one goes on."""


class TookTooLong(AgentError):
    """A step, or the report, exceeded its time limit."""


@dataclass(frozen=True, slots=True)
class StepLimit:
    """How long a step may take, and the report."""

    seconds: float
    remedy: str
    """For whoever's step took longer."""
    tell: Callable[[], Awaitable[None]] | None = None
    """Called before it is cut, to tell where it waits."""

    async def passed(self) -> TookTooLong:
        """Tell where it waits; the failure."""
        if self.tell is not None:
            await self.tell()
        return TookTooLong(f"It took longer than {self.seconds:g} s and was cut.", remedy=self.remedy)


_FIND_OUT: Final = "Find out what it waits for (`pavo task logs` has the stack)"


def stricter(
    of_agent: float | None, of_task: float | None, tell: Callable[[], Awaitable[None]] | None = None
) -> StepLimit | None:
    """The limit that holds: a task may have less time than its agent allows, and never more."""
    if of_task is not None and (of_agent is None or of_task < of_agent):
        raising = "raise the task's step_seconds (pavo task edit ID --step-seconds N, PATCH /api/tasks/{id})"
        return StepLimit(of_task, f"{_FIND_OUT}, or {raising}, then resume the task.", tell)
    if of_agent is None:
        return None
    return StepLimit(of_agent, f"{_FIND_OUT}, or raise the agent's step_seconds, then resume the task.", tell)


class Interruption:
    """What an attempt is asked for while it runs, from its own event loop."""

    def __init__(self, stretch_seconds: float | None = None) -> None:
        self.begun = time.monotonic()
        """When the attempt began."""
        self._stretch_seconds = stretch_seconds
        self.resets_retries = False
        """Whether Temporal has tried this work so often that it would wait long after the next death: the attempt ends
        where nothing is lost, and the next one begins to count anew."""
        self.reason: str | None = None
        self.moving = False
        """Whether the run continues as new elsewhere: the attempt ends at its next step boundary, and nothing is cut.
        """
        self.told = False
        """Whether the agent was told while it worked: what it ends with from then on may be half of its work."""
        self._set = asyncio.Event()

    def interrupt(self, reason: str) -> None:
        """Ask the attempt to end; the first reason stays."""
        if self.reason is None or self.reason == HINT:
            self.reason = reason
        self._set.set()

    @property
    def stretch_is_over(self) -> bool:
        """Whether the attempt had only so long, and has had it."""
        return self._stretch_seconds is not None and time.monotonic() - self.begun >= self._stretch_seconds

    @property
    def wanted(self) -> bool:
        """Whether the attempt should end."""
        return self._set.is_set()

    async def wait(self) -> None:
        """Until it should."""
        await self._set.wait()


@dataclass(frozen=True, slots=True)
class Cut:
    """Instead of a result: the work did not end within its grace."""


async def until_interrupted(
    work: Awaitable[T],
    interruption: Interruption,
    *,
    grace: float,
    on_interrupt: "asyncio.Event",
    limit: StepLimit | None = None,
) -> T | Cut:
    """Wait for `work`; after an interruption give it `grace` seconds more, then cancel it.

    Args:
        on_interrupt: set as soon as the interruption comes, so that the work may end early by itself.
        limit: how long the work may take without an interruption.

    Raises:
        TookTooLong: it took longer, and was cancelled.
    """
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    if task.done():  # most steps of a quick agent: nothing to wait for
        return task.result()
    waiter = asyncio.ensure_future(interruption.wait())
    try:
        if limit is None:
            await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        elif not await wait_awake({task, waiter}, limit.seconds):
            raise await limit.passed()
        if not task.done():
            interruption.told = True
            on_interrupt.set()
            await asyncio.wait({task}, timeout=grace)
        return task.result() if task.done() else Cut()
    finally:
        waiter.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not complain that nobody did
