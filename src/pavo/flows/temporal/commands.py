"""What tells the workflows of runs, and starts them."""

import logging
import uuid

from temporalio.client import Client, WorkflowExecutionStatus

from pavo.errors import PavoError, Unavailable
from pavo.flows.temporal.contracts import SIGNAL_LOOK, FlowInput, start_id
from pavo.flows.temporal.workflow import FlowRun
from pavo.runs.presence import Presence
from pavo.runs.workflow_calls import RPC_TIMEOUT, Start, WorkflowCalls
from pavo.temporal.failures import NoSuchRun, translated

logger = logging.getLogger(__name__)


class FlowCommands:
    """Of a process.

    Args:
        task_queue: on which the workflows run.
        presence: see `WorkflowCalls`; starts and signals do not ask it.
    """

    def __init__(self, temporal: Client, task_queue: str, presence: Presence | None = None) -> None:
        self._temporal, self.task_queue = temporal, task_queue
        self._calls = WorkflowCalls(temporal, task_queue, presence, {})

    async def is_there(self) -> bool:
        """Whether Temporal answers."""
        try:
            with translated():
                return await self._temporal.service_client.check_health(timeout=RPC_TIMEOUT)
        except (Unavailable, NoSuchRun):
            return False

    async def start(self, run_id: uuid.UUID, epoch: int) -> None:
        """Start the workflow of a run under an epoch; one that was started before stays as it is.

        Raises:
            Unavailable: Temporal is away; it may have been started all the same.
        """
        name = start_id(str(run_id), epoch)
        await self._calls.start(Start(FlowRun.run, FlowInput(str(run_id), epoch), name))

    async def look(self, run_id: uuid.UUID, epoch: int) -> None:
        """Have its workflow look at what was written of the run.

        Raises:
            Unavailable: Temporal is away.
            NoSuchRun: no workflow of it is open.
        """
        await self._calls.signal(start_id(str(run_id), epoch), SIGNAL_LOOK)

    async def is_open(self, run_id: uuid.UUID, epoch: int) -> bool:
        """Whether its workflow goes on, as Temporal's history has it.

        Raises:
            Unavailable: Temporal is away.
        """
        try:
            with translated():
                handle = self._temporal.get_workflow_handle(start_id(str(run_id), epoch))
                return (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status == WorkflowExecutionStatus.RUNNING
        except NoSuchRun:
            return False

    async def end(self, run_id: uuid.UUID, epoch: int, why: str) -> None:
        """End a workflow whose run is none of its any more; one that has ended stays as it is.

        Raises:
            Unavailable: Temporal is away.
        """
        try:
            with translated():
                await self._temporal.get_workflow_handle(start_id(str(run_id), epoch)).terminate(
                    why, rpc_timeout=RPC_TIMEOUT
                )
        except NoSuchRun:
            return

    async def hurry(self, run_id: uuid.UUID, epoch: int, *, is_begun: bool) -> None:
        """Start it or have it look. Never raises for what is away: the watch makes up for it."""
        try:
            await (self.look(run_id, epoch) if is_begun else self.start(run_id, epoch))
        except (PavoError, NoSuchRun) as error:
            logger.info("Run %s is told later: %s", run_id, error)
