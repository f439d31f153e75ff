"""The activities that run agents: each hands its work to the agents' own event loop and stays to heartbeat."""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.errors import LeaseLost, Superseded, Unavailable
from pavo.runs.story import HEARTBEAT_SECONDS
from pavo.runs.waking import wake
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.interruption import SHUTDOWN, STOP, Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.slots.admission import Admission, HandedBack
from pavo.tasks.work.slots.turns import Turns

T = TypeVar("T")

ENDED: Final = "ended"
"""Detail of the last heartbeat of an attempt that ended in order; its number follows, and how often it was handed
back."""


FEW_ATTEMPTS: Final = 3
"""Of Temporal's, one after the other: after more of them it waits for over 0.4 s before the next."""


class AgentWork(c.AgentActivities):
    """Runs on the worker's event loop; agents and their commits run on `loop`, so a busy step starves no heartbeat.

    Args:
        freed: filled by `admission` with the workflows whose turn it is.
    """

    def __init__(
        self,
        loop: AgentLoop,
        turns: Turns,
        admission: Admission,
        freed: deque[str],
        planner: Planner,
        executor: BatchExecutor,
    ) -> None:
        self._loop = loop
        self._turns = turns
        self._admission = admission
        self._freed = freed
        self._waking: set[asyncio.Future[int]] = set()
        self._planner = planner
        self._executor = executor

    @activity.defn(name="make_plan")
    async def make_plan(self, request: c.MakePlan) -> c.PlanMade:
        """Gather context if the agent wants it, let it plan or revise, and store the draft."""
        planned = await self._attempt(request.task_id, lambda interruption: self._planner.plan(request, interruption))
        if isinstance(planned, Cut):
            raise ApplicationError("Planning was cut; it is repeated from the start.", type="Cut")
        return planned.made

    @activity.defn(name="execute_batch")
    async def execute_batch(self, request: c.ExecuteBatch) -> c.BatchDone:
        """Open a lease and record steps until the agent is done, somebody stops it, or it is asked to end."""
        ended = _ended_in_order()
        with self._turns.take():
            return await self._attempt(
                request.task_id, lambda interruption: self._executor.run(request, interruption, ended=ended)
            )

    @activity.defn(name="carry_out")
    async def carry_out(self, request: c.MakePlan) -> c.CarriedOut:
        """`make_plan`, and where policy accepts the plan its first attempt at once."""
        ended, stretch = _ended_in_order(), request.stretch_seconds
        # A stretch inside a workflow task has no slot of an activity.
        with self._turns.take() if stretch is None else contextlib.nullcontext():
            done = await self._attempt(
                request.task_id, lambda interruption: self._carry_out(request, interruption, ended), stretch
            )
        if isinstance(done, Cut):
            raise ApplicationError("Planning was cut; it is repeated from the start.", type="Cut")
        return done

    async def _carry_out(self, request: c.MakePlan, interruption: Interruption, ended: bool) -> c.CarriedOut | Cut:
        planned = await self._planner.plan(request, interruption)
        if isinstance(planned, Cut):
            return planned
        if not planned.made.accepted:
            return c.CarriedOut(planned.made)
        assert planned.made.plan_hash is not None
        done = d.done_after(request.fence)
        execute = c.ExecuteBatch(request.task_id, done, planned.made.plan_hash)
        batch = await self._executor.run(execute, interruption, planned.opened, ended=ended)
        return c.CarriedOut(planned.made, batch)

    async def _attempt(
        self,
        task_id: str,
        work: Callable[[Interruption], Coroutine[Any, Any, T]],
        stretch_seconds: float | None = None,
    ) -> T:
        interruption = Interruption(stretch_seconds)
        interruption.resets_retries = activity.info().attempt > FEW_ATTEMPTS
        after_loss = None if stretch_seconds is not None else activity.info().attempt > 1 and not _ended_in_order()

        async def admitted() -> T:
            async with self._admission.admitted(uuid.UUID(task_id), after_loss=after_loss):
                return await work(interruption)

        task = asyncio.ensure_future(self._loop.run_on_agents_thread(admitted))
        beside = [asyncio.ensure_future(_heartbeat()), asyncio.ensure_future(self._shutdown(interruption))]
        try:
            while not task.done():
                try:
                    await asyncio.shield(task)
                except asyncio.CancelledError:
                    self._loop.call_soon(interruption.interrupt, _reason())
            return task.result()
        except HandedBack as back:
            raise _handed_back(back, interruption) from back
        except Superseded as late:
            raise ApplicationError(late.detail, type=late.code, non_retryable=True) from late
        except (LeaseLost, Unavailable) as error:
            # Infrastructure: Temporal tries again, and the next attempt goes on from what was recorded. It cannot tell
            # by the lease, which may still stand, that nobody died.
            _tell_of_end(activity.info().attempt)
            raise ApplicationError(error.detail, type=error.code) from error
        finally:
            self._wake_next()
            for helper in beside:
                helper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await helper

    def _wake_next(self) -> None:
        """A place was given back: whose turn it is need not wait until Temporal offers it again."""
        while self._freed:
            waking = asyncio.ensure_future(wake(activity.client(), [self._freed.popleft()]))
            self._waking.add(waking)
            waking.add_done_callback(self._waking.discard)

    async def _shutdown(self, interruption: Interruption) -> None:
        await activity.wait_for_worker_shutdown()
        self._loop.call_soon(interruption.interrupt, SHUTDOWN)


def _ended_in_order() -> bool:
    """Whether the attempt before told that it ended, in its last heartbeat; else it died, or there was none."""
    info = activity.info()
    return list(info.heartbeat_details)[:2] == [ENDED, info.attempt - 1]


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
    times = 1 + (details[2] if _ended_in_order() and len(details) > 2 else 0)
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
