"""Waking runs whose activity was handed back to Temporal until something comes: it has come.

Only a hurry: an attempt that is not woken is offered again by itself, after half a minute at most.
"""

import asyncio
import logging
from collections.abc import Sequence

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import ResetActivityRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

logger = logging.getLogger(__name__)

AT_ONCE = 16


async def wake(temporal: Client, workflow_ids: Sequence[str]) -> int:
    """Have Temporal offer their waiting attempts at once; answers how many there were."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(workflow_id: str) -> int:
        async with turns:
            return await _wake(temporal, temporal.get_workflow_handle(workflow_id))

    return sum(await asyncio.gather(*(one(workflow_id) for workflow_id in workflow_ids)))


async def _wake(temporal: Client, workflow: WorkflowHandle[object, object]) -> int:
    woken = 0
    try:
        run = (await workflow.describe()).raw_description
        for work in run.pending_activities:
            if work.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and work.attempt > 1:
                request = ResetActivityRequest(
                    namespace=temporal.namespace,
                    execution=run.workflow_execution_info.execution,
                    identity=temporal.identity,
                    id=work.activity_id,
                )
                await temporal.workflow_service.reset_activity(request)
                woken += 1
    except RPCError as error:
        logger.info("Workflow %s wakes by itself: %s", workflow.id, error)
    return woken
