"""One attempt at an agent's work inside an activity: what may interrupt it, and how its errors are reported."""

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from pavo.errors import AgentDied, AgentError, AgentRefused, PavoError
from pavo.observe import metrics
from pavo.tasks.contracts import AgentFailure

T = TypeVar("T")

STOP: Final = "stop"
"""Temporal cancelled the activity: somebody stopped the task."""
HINT: Final = "hint"
"""Somebody is about to; the workflow knows whether it is true."""
SHUTDOWN: Final = "shutdown"
"""The worker shuts down; another one goes on."""


class Interruption:
    """Set at most once, from the attempt's own event loop."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._set = asyncio.Event()

    def interrupt(self, reason: str) -> None:
        """Ask the attempt to end; the first reason stays."""
        if self.reason is None or self.reason == HINT:
            self.reason = reason
        self._set.set()

    @property
    def wanted(self) -> bool:
        """Whether the attempt should end."""
        return self._set.is_set()

    async def wait(self) -> None:
        """Until it should."""
        await self._set.wait()


class Attempts:
    """The attempts that run on one event loop, so that a hint finds them by task."""

    def __init__(self) -> None:
        self._running: dict[uuid.UUID, set[Interruption]] = {}

    def begin(self, task_id: uuid.UUID, interruption: Interruption) -> None:
        """Make an attempt known."""
        metrics.ATTEMPTS.add()
        self._running.setdefault(task_id, set()).add(interruption)

    def end(self, task_id: uuid.UUID, interruption: Interruption) -> None:
        """Forget it."""
        metrics.ATTEMPTS.add(by=-1)
        group = self._running.get(task_id, set())
        group.discard(interruption)
        if not group:
            self._running.pop(task_id, None)

    def hint(self, task_id: uuid.UUID) -> None:
        """Interrupt what runs for this task, if anything does."""
        for interruption in self._running.get(task_id, ()):
            interruption.interrupt(HINT)


@dataclass(frozen=True, slots=True)
class Cut:
    """Instead of a result: the work did not end within its grace."""


async def until_interrupted(
    work: Awaitable[T], interruption: Interruption, *, grace: float, on_interrupt: "asyncio.Event"
) -> T | Cut:
    """Wait for `work`; after an interruption give it `grace` seconds more, then cancel it.

    Args:
        on_interrupt: set as soon as the interruption comes, so that the work may end early by itself.
    """
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    if task.done():  # most steps of a quick agent: nothing to wait for
        return task.result()
    waiter = asyncio.ensure_future(interruption.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            on_interrupt.set()
            await asyncio.wait({task}, timeout=grace)
        return task.result() if task.done() else Cut()
    finally:
        waiter.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of the agent's own, as people will see it."""

    cause: str
    remedy: str
    type: str
    retryable: bool

    def told(self) -> dict[str, str]:
        """What is stored of it."""
        return {"type": self.type, "cause": self.cause, "remedy": self.remedy}

    def decided(self) -> AgentFailure:
        """What the workflow needs for its decision."""
        return AgentFailure(self.type, self.retryable)


def failure_of(error: AgentError | AgentDied) -> Failure:
    """An agent's error as people will see it."""
    retryable = not isinstance(error, AgentRefused)
    remedy = "Look at the cause, mend the agent or its input, then resume the task."
    return Failure(error.detail[:2_000], error.remedy or remedy, error.code, retryable)


def quarantine(step: int, deaths: int, cause: str) -> Failure:
    """The failure of a step at which processes keep dying."""
    return Failure(
        f"Step {step} is quarantined: its process died {deaths} times at it, last: {cause}.",
        "Mend the agent (or its memory limit), then resume: the step is tried again from its checkpoint.",
        "Quarantined",
        retryable=False,
    )


class Superseded(PavoError):
    """This attempt woke up too late: the task is stopped, or a newer run has it."""

    title = "The attempt is superseded"
