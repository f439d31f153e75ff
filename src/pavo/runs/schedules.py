"""Schedules of what runs again and again: those of every task queue, and those that rest and go with a row."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from pavo.runs.kinds import FORMER_RECONCILE_TYPE, Periodic
from pavo.temporal.failures import translated

logger = logging.getLogger(__name__)

FORMER_RECONCILIATION = "pavo-reconcile"
"""The id that the reconciler's schedule had when there was one for a whole namespace."""
RPC_TIMEOUT = timedelta(seconds=10)
RESTS: Final = "Pavo: "
"""How the note of a schedule begins that Pavo has paused, and may resume; what an operator has paused stays so."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What one schedule starts: a workflow, one at a time."""

    id: str
    """Of the schedule; its workflows' ids begin with it."""
    workflow: type[Any]
    task_queue: str
    every: timedelta
    arguments: Sequence[Any] = ()
    """Of its run method. Those of a schedule that exists are not changed."""
    offset: timedelta = timedelta()
    """From the full interval: so that many schedules do not all start at the same moment."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A schedule that exists, as Temporal's visibility lists it: a moment late."""

    id: str
    paused: bool


def schedule_id(periodic: Periodic, task_queue: str) -> str:
    """Under which the schedule stands in Temporal; its workflows' ids begin with it."""
    return f"{periodic.name}:{task_queue}"


async def ensure_schedules(client: Client, task_queue: str, wanted: Sequence[Periodic]) -> None:
    """Create the schedules that are missing, and bring those up to date that an earlier version made.

    Whether an operator has paused one is kept. Done twice, or by two workers at once, it changes nothing more.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    for each in wanted:
        name = schedule_id(each, task_queue)
        await ensure_schedule(client, Scheduled(name, each.workflow, task_queue, each.every))
    with translated():
        await _remove_former(client, task_queue)


async def ensure_schedule(client: Client, wanted: Scheduled) -> None:
    """Create one schedule, or bring it up to date; whether it is paused is kept.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    schedule = _schedule(wanted)
    with translated():
        try:
            await client.create_schedule(wanted.id, schedule, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            await _bring_up_to_date(client, wanted.id, schedule)


async def put_schedule(client: Client, name: str, wanted: Schedule) -> None:
    """Have a schedule as it is wanted in all that it says, paused or not; one that is there is replaced.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    with translated():
        try:
            await client.create_schedule(name, wanted, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(name)
            await handle.update(lambda _: ScheduleUpdate(schedule=wanted), rpc_timeout=RPC_TIMEOUT)


async def rest_schedule(client: Client, name: str, why: str) -> None:
    """Pause a schedule until `resume_schedule`; one that is paused, or is not there, stays as it is.

    Args:
        why: for people who look at it in Temporal.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    handle = client.get_schedule_handle(name)
    with translated(), _gone():
        found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        if not found.schedule.state.paused:
            await handle.pause(note=f"{RESTS}{why}", rpc_timeout=RPC_TIMEOUT)


async def resume_schedule(client: Client, name: str) -> None:
    """Resume what `rest_schedule` has paused; what an operator has paused, or is not there, stays as it is.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    handle = client.get_schedule_handle(name)
    with translated(), _gone():
        state = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).schedule.state
        if state.paused and (state.note or "").startswith(RESTS):
            await handle.unpause(note=f"{RESTS}it goes on.", rpc_timeout=RPC_TIMEOUT)


async def remove_schedule(client: Client, name: str) -> None:
    """Remove a schedule; one that is not there is removed already.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    with translated(), _gone():
        await client.get_schedule_handle(name).delete(rpc_timeout=RPC_TIMEOUT)


async def list_schedules(client: Client, prefix: str) -> Sequence[Listed]:
    """The schedules whose ids begin so.

    Raises:
        Unavailable: Temporal does not answer.
    """
    with translated():
        return [
            Listed(each.id, each.schedule is not None and each.schedule.state.paused)
            async for each in await client.list_schedules(page_size=1_000, rpc_timeout=RPC_TIMEOUT)
            if each.id.startswith(prefix)
        ]


def _schedule(wanted: Scheduled) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            wanted.workflow.run, args=list(wanted.arguments), id=wanted.id, task_queue=wanted.task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=wanted.every, offset=wanted.offset or None)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )


async def _bring_up_to_date(client: Client, name: str, wanted: Schedule) -> None:
    def compare(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        there = found.description.schedule
        same = _starts(there) == _starts(wanted) and there.spec.intervals == wanted.spec.intervals
        if same:
            return None
        wanted.state = there.state
        return ScheduleUpdate(schedule=wanted)

    await client.get_schedule_handle(name).update(compare, rpc_timeout=RPC_TIMEOUT)


def _starts(schedule: Schedule) -> tuple[str, str]:
    action = schedule.action
    return (action.workflow, action.task_queue) if isinstance(action, ScheduleActionStartWorkflow) else ("", "")


async def _remove_former(client: Client, task_queue: str) -> None:
    """The one schedule of the whole namespace, where it served this task queue, and the rounds that it began: no worker
    knows that workflow any more. The rounds first, so that who dies half-way finds the schedule the next time."""
    query = f"WorkflowType = '{FORMER_RECONCILE_TYPE}' AND TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    handle = client.get_schedule_handle(FORMER_RECONCILIATION)
    try:
        found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        found = None
    async for run in client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
        begun = client.get_workflow_handle(run.id, run_id=run.run_id)
        with _gone():
            await begun.terminate("its schedule is replaced by one for each task queue", rpc_timeout=RPC_TIMEOUT)
    if found is not None and _starts(found.schedule) == (FORMER_RECONCILE_TYPE, task_queue):
        with _gone():
            await handle.delete(rpc_timeout=RPC_TIMEOUT)
        logger.info("The schedule %s is replaced by one for each task queue", FORMER_RECONCILIATION)


@contextmanager
def _gone() -> Generator[None]:
    """What has ended by itself, or was removed by another worker, need not be."""
    try:
        yield
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
