"""The schedules of what runs again and again: one of each for every task queue."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

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


def schedule_id(periodic: Periodic, task_queue: str) -> str:
    """Under which the schedule stands in Temporal; its workflows' ids begin with it."""
    return f"{periodic.name}:{task_queue}"


async def ensure_schedules(client: Client, task_queue: str, wanted: Sequence[Periodic]) -> None:
    """Create the schedules that are missing, and bring those up to date that an earlier version made.

    Whether an operator has paused one is kept. Done twice, or by two workers at once, it changes nothing more.

    Raises:
        Unavailable: Temporal does not answer, or does not take it.
    """
    with translated():
        for periodic in wanted:
            name = schedule_id(periodic, task_queue)
            schedule = _schedule(periodic, name, task_queue)
            try:
                await client.create_schedule(name, schedule, rpc_timeout=RPC_TIMEOUT)
            except ScheduleAlreadyRunningError:
                await _bring_up_to_date(client, name, schedule)
        await _remove_former(client, task_queue)


def _schedule(periodic: Periodic, name: str, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(periodic.workflow.run, id=name, task_queue=task_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=periodic.every)]),
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
