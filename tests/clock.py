"""Moves the time of everything at once: PostgreSQL's, which Pavo goes by, and Temporal's, which its timers go by.

`pavo_now()` is replaced by one that is ahead. Temporal's server has a clock for each run, which may skip the time in
which nothing is in flight; it is moved as far, with a halt wherever a timer has something done.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from temporalio.api.common.v1 import FastForwardConfig, TimeSkippingConfig, WorkflowExecution
from temporalio.api.enums.v1 import FastForwardPollingResult as Result
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    PollWorkflowExecutionTimeSkippingRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client

from pavo.kit.sql import Database

SKIPS_TIME = {"frontend.WorkflowTimeSkippingEnabled": "true"}
"""Dynamic configuration of a Temporal server whose runs may skip time."""
ENDED = "the execution ended before the fast-forward completed"
"""Said by Temporal of a run that had no more to do."""
_REPLACE = "CREATE OR REPLACE FUNCTION pavo_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS '{}'"


@dataclass
class Clock:
    """Ahead of the machine's by `ahead`, for a test's database and for the runs that were moved."""

    database: Database
    temporal: Client
    ahead: timedelta = timedelta()

    async def forward(self, by: timedelta, *workflow_ids: str) -> None:
        """Move PostgreSQL's clock, and those of these open runs; returns when all of them are there.

        What its timers wake on the way is done on the way, so a run may also come to its end.
        """
        self.ahead += by
        await self._replace(f"SELECT statement_timestamp() + interval ''{self.ahead.total_seconds():.6f} seconds''")
        moves = {workflow_id: uuid.uuid4().hex for workflow_id in workflow_ids}
        for workflow_id, move in moves.items():
            await self._skip(workflow_id, move, by)
        for workflow_id, move in moves.items():
            await self._arrived(workflow_id, move)

    async def back(self) -> None:
        """PostgreSQL's clock is the machine's again."""
        await self._replace("SELECT statement_timestamp()")

    async def now(self) -> datetime:
        """What `pavo_now()` says."""
        async with self.database.reading() as session:
            return (await session.scalars(text("SELECT pavo_now()"))).one()

    async def _replace(self, body: str) -> None:
        async with self.database.autocommit() as connection:
            await connection.execute(text(_REPLACE.format(body)))

    async def _skip(self, workflow_id: str, move: str, by: timedelta) -> None:
        duration = Duration()
        duration.FromTimedelta(by)
        forward = FastForwardConfig(id=move, duration=duration)
        options = WorkflowExecutionOptions(
            time_skipping_config=TimeSkippingConfig(enabled=True, fast_forward_config=forward)
        )
        await self.temporal.workflow_service.update_workflow_execution_options(
            UpdateWorkflowExecutionOptionsRequest(
                namespace=self.temporal.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                workflow_execution_options=options,
                update_mask=FieldMask(paths=["time_skipping_config"]),
            )
        )

    async def _arrived(self, workflow_id: str, move: str) -> None:
        request = PollWorkflowExecutionTimeSkippingRequest(
            namespace=self.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            fast_forward_id=move,
        )
        while True:
            answer = await self.temporal.workflow_service.poll_workflow_execution_time_skipping(request)
            if answer.fast_forward_polling_result == Result.FAST_FORWARD_POLLING_RESULT_FAST_FORWARD_COMPLETED:
                return
            if answer.failed_reason == ENDED:
                return
            assert not answer.failed_reason, answer.failed_reason
