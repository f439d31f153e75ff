"""An attempt inside an activity of Temporal: its work goes to the agents' own event loop, and the activity stays to
heartbeat."""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.errors import LeaseLost, Superseded, Unavailable
from pavo.runs.story import HEARTBEAT_SECONDS
from pavo.runs.waking import wake
from pavo.tasks.work.interruption import SHUTDOWN, STOP, Cut, Interruption
from pavo.tasks.work.slots.admission import Admission
from pavo.tasks.work.slots.handing_back import HandedBack
from pavo.tasks.work.slots.places import Places
from pavo.tools.places import NO_PLACE

T = TypeVar("T")

ENDED: Final = "ended"
"""Detail of the last heartbeat of an attempt that ended in order; its number follows, and how often it was handed
back."""


FEW_ATTEMPTS: Final = 3
"""Of Temporal's, one after the other: after more of them it waits for over 0.4 s before the next."""


class AttemptRunner:
    """Runs on the worker's event loop; agents and their commits run on `loop`, so a busy step starves no heartbeat.

    Args:
        freed: filled by `admission` with the workflows whose turn it is.
    """

    def __init__(self, loop: AgentLoop, admission: Admission, freed: deque[str]) -> None:
        self._loop = loop
        self._admission = admission
        self._freed = freed
        self._waking: set[asyncio.Future[int]] = set()

    async def run(
        self,
        task_id: str,
        places: Places,
        work: Callable[[Interruption], Coroutine[Any, Any, T | Cut]],
        stretch_seconds: float | None = None,
    ) -> T:
        """Do the work in a place of the task's own, once it is admitted to one.

        Args:
            stretch_seconds: how long it may take inside a workflow task; None for an activity of its own.

        Raises:
            ApplicationError: Temporal is to try again, or the task has moved on; nothing is lost.
        """
        interruption = Interruption(stretch_seconds)
        interruption.resets_retries = activity.info().attempt > FEW_ATTEMPTS
        after_loss = None if stretch_seconds is not None else activity.info().attempt > 1 and not ended_in_order()

        async def admitted() -> T | Cut:
            async with self._admission.admitted(uuid.UUID(task_id), places, after_loss=after_loss):
                return await work(interruption)

        task = asyncio.ensure_future(self._loop.run_on_agents_thread(admitted))
        beside = [asyncio.ensure_future(_heartbeat()), asyncio.ensure_future(self._shutdown(interruption))]
        try:
            await self._until_done(task, interruption)
            return _whole(task.result())
        except HandedBack as back:
            raise _handed_back(back, interruption) from back
        except Superseded as late:
            raise ApplicationError(late.detail, type=late.code, non_retryable=True) from late
        except (LeaseLost, Unavailable) as error:
            # Infrastructure: Temporal tries again, and the next attempt goes on from what was recorded. It cannot tell
            # by the lease, which may still stand, that nobody died.
            _tell_of_end(activity.info().attempt)
            raise ApplicationError(error.detail, type=error.code, next_retry_delay=_delay(error)) from error
        finally:
            self._wake_next()
            await _end(beside)

    async def _until_done(self, task: asyncio.Future[Any], interruption: Interruption) -> None:
        """Where Temporal cancels the activity, the work is told, and goes on until it has ended."""
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._loop.call_soon(interruption.interrupt, _reason())

    def _wake_next(self) -> None:
        """A place was given back: whose turn it is need not wait until Temporal offers it again."""
        while self._freed:
            waking = asyncio.ensure_future(wake(activity.client(), [self._freed.popleft()]))
            self._waking.add(waking)
            waking.add_done_callback(self._waking.discard)

    async def _shutdown(self, interruption: Interruption) -> None:
        await activity.wait_for_worker_shutdown()
        self._loop.call_soon(interruption.interrupt, SHUTDOWN)


async def _end(helpers: Sequence[asyncio.Future[None]]) -> None:
    """A cancellation that comes meanwhile does not take the result away."""
    for helper in helpers:
        helper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await helper


def ended_in_order() -> bool:
    """Whether the attempt before told that it ended, in its last heartbeat; else it died, or there was none."""
    info = activity.info()
    return list(info.heartbeat_details)[:2] == [ENDED, info.attempt - 1]


def _delay(error: LeaseLost | Unavailable) -> timedelta | None:
    """Where a worker has no place for calls of tools, that is not over at once; else as `INFRASTRUCTURE` says."""
    if isinstance(error, Unavailable) and error.dependency == NO_PLACE:
        return timedelta(seconds=error.retry_after)
    return None


def _whole(result: T | Cut) -> T:
    if isinstance(result, Cut):
        raise ApplicationError("Planning was cut; it is repeated from the start.", type="Cut")
    return result


def _tell_of_end(*numbers: int) -> None:
    """Leave for the next attempt that this one ended in order; a stretch inside a workflow task has no heartbeats."""
    if not activity.info().is_local:
        activity.heartbeat(ENDED, *numbers)


def _handed_back(back: HandedBack, interruption: Interruption) -> BaseException:
    """How an attempt ends that the worker does not take: Temporal offers it again after a while."""
    if interruption.reason == STOP:
        return asyncio.CancelledError()  # no step was in flight
    info = activity.info()
    details = list(info.heartbeat_details)
    times = 1 + (details[2] if ended_in_order() and len(details) > 2 else 0)
    _tell_of_end(info.attempt, times)
    delay = timedelta(seconds=back.seconds(times))
    return ApplicationError("The worker hands the task back.", type="HandedBack", next_retry_delay=delay)


def _reason() -> str:
    details = activity.cancellation_details()
    return SHUTDOWN if details is not None and details.worker_shutdown else STOP


async def _heartbeat() -> None:
    while not activity.info().is_local:  # where it is, the workflow task has a time limit of its own
        await asyncio.sleep(HEARTBEAT_SECONDS)
        activity.heartbeat()
