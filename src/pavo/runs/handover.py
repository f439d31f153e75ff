"""Taking over from a worker that is known to be dead, without waiting for the time-out of its heartbeats.

Only a hurry: whatever is missed here, or cannot be reached, the time-outs bring. And harmless should the other one live
after all: its attempts lose their leases like those of any zombie.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

logger = logging.getLogger(__name__)

AT_ONCE = 16
AT_ONCE_AGAIN = timedelta(milliseconds=1)
"""Until Temporal tries again, however often workers have died: the next one is there."""


def worker_lost() -> ApplicationError:
    """What the attempt of a dead worker fails with."""
    return ApplicationError("The worker that ran it is dead.", type="WorkerLost", next_retry_delay=AT_ONCE_AGAIN)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds attempts that nobody works at any more."""

    is_named: Callable[[str], bool]
    """Whether that is its name in Temporal."""
    lost: Callable[[], ApplicationError] = worker_lost
    """What its attempts fail with."""
    runs_workflows: bool = True
    """Whether it may have workflows in memory, whose next tasks would wait for it."""


async def hand_over(temporal: Client, workflow_ids: Sequence[str], *, identity: str) -> int:
    """Fail the attempts of a dead worker, so that Temporal tries again at once; answers how many there were.

    Args:
        workflow_ids: whose attempts it may have held.
        identity: its name in Temporal.
    """
    return await fail_attempts(temporal, workflow_ids, Holder(lambda name: name == identity))


async def fail_attempts(temporal: Client, workflow_ids: Sequence[str], holder: Holder) -> int:
    """Fail the attempts that somebody holds who works at them no more; answers how many there were.

    Args:
        workflow_ids: whose attempts they may be.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(workflow_id: str) -> int:
        async with turns:
            return await _hand_over(temporal, temporal.get_workflow_handle(workflow_id), holder)

    return sum(await asyncio.gather(*(one(workflow_id) for workflow_id in workflow_ids)))


async def _hand_over(temporal: Client, workflow: WorkflowHandle[object, object], holder: Holder) -> int:
    failed = 0
    try:
        run = (await workflow.describe()).raw_description
        mine = [work for work in run.pending_activities if holder.is_named(work.last_worker_identity)]
        for work in mine:
            if work.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
                handle = temporal.get_async_activity_handle(
                    workflow_id=workflow.id,
                    run_id=run.workflow_execution_info.execution.run_id,
                    activity_id=work.activity_id,
                )
                await handle.fail(holder.lost())
                failed += 1
        if not holder.runs_workflows:
            return failed
        # Its next workflow task would wait for the dead one, which has the workflow in memory.
        await temporal.workflow_service.reset_sticky_task_queue(
            ResetStickyTaskQueueRequest(namespace=temporal.namespace, execution=run.workflow_execution_info.execution)
        )
    except RPCError as error:
        logger.info("Workflow %s is left to its time-outs: %s", workflow.id, error)
    return failed
