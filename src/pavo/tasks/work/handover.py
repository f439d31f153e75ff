"""Taking over from a worker that is known to be dead, without waiting for the time-out of its heartbeats.

It only saves time: whatever is missed here, or cannot be reached, is noticed by the time-outs. Should the other worker
live after all, no harm is done: its attempts lose their leases like those of any zombie.
"""

import asyncio
import logging

from sqlalchemy import text
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

AT_ONCE = 16
_HELD = text("""
SELECT t.workflow_id FROM tasks t JOIN executions e ON e.task_id = t.id
WHERE t.stage = 'PLANNING' OR (t.stage = 'EXECUTING' AND left(e.holder, :length) = :holder)
ORDER BY t.updated_at DESC LIMIT 1000
""")
"""Plain SQL: a worker that takes over has no time to compile a query. Who plans is nowhere written."""


async def hand_over(database: Database, temporal: Client, *, holder: str, identity: str) -> int:
    """Fail the attempts of a dead worker, so that Temporal tries again at once; answers how many there were.

    Args:
        holder: how the names of its leases begin.
        identity: its name in Temporal.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.autocommit() as connection:
        found = (await connection.execute(_HELD, {"holder": holder, "length": len(holder)})).scalars().all()
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(workflow_id: str) -> int:
        async with turns:
            return await _hand_over(temporal, temporal.get_workflow_handle(workflow_id), identity)

    return sum(await asyncio.gather(*(one(workflow_id) for workflow_id in found)))


async def _hand_over(temporal: Client, workflow: WorkflowHandle[object, object], identity: str) -> int:
    failed = 0
    try:
        run = (await workflow.describe()).raw_description
        mine = [work for work in run.pending_activities if work.last_worker_identity == identity]
        for work in mine:
            if work.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
                handle = temporal.get_async_activity_handle(
                    workflow_id=workflow.id,
                    run_id=run.workflow_execution_info.execution.run_id,
                    activity_id=work.activity_id,
                )
                await handle.fail(ApplicationError("The worker that ran it is dead.", type="WorkerLost"))
                failed += 1
        # Its next workflow task would wait for the dead one, which has the workflow in memory.
        await temporal.workflow_service.reset_sticky_task_queue(
            ResetStickyTaskQueueRequest(namespace=temporal.namespace, execution=run.workflow_execution_info.execution)
        )
    except RPCError as error:
        logger.info("Workflow %s is left to its time-outs: %s", workflow.id, error)
    return failed
