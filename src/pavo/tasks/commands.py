"""Commands on their way to a task's workflow: deterministic update ids, time limits, errors as ours."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from pavo.errors import Conflict, OutcomeUnknown, Stopping, UnaddressedFeedback, WrongPlanHash, WrongStage
from pavo.kit.cancellation import end
from pavo.kit.ids import new_id
from pavo.tasks import contracts as c
from pavo.tasks.domain import Receipt
from pavo.tasks.workflow import AgentTask
from pavo.temporal.failures import NoSuchRun, translated
from pavo.temporal.search_attributes import of_task

ACCEPT_SECONDS = 2.0
"""How long a worker may take to pick a command up."""
ANSWER_SECONDS = 45.0
"""How long it may take to be carried out: a stop waits for the step in flight."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which run is meant."""

    task_id: uuid.UUID
    workflow_id: str
    run_id: str | None
    generation: int
    auto_accept: bool

    @property
    def agent_type(self) -> str:
        """Of the task; the workflow's id ends with it."""
        return self.workflow_id.rpartition("|a:")[2]


class _AlreadyRunning(Exception):
    """A resume found its task running."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Commander:
    """Sends commands to the workflows of tasks."""

    def __init__(self, client: Client, task_queue: str, *, search_attributes: bool = False) -> None:
        self._client = client
        self._task_queue = task_queue
        self._search_attributes = search_attributes

    def _found_by(self, target: Target) -> TypedSearchAttributes:
        """What the workflow is found by; nothing where the namespace has no such attributes."""
        if not self._search_attributes:
            return TypedSearchAttributes.empty
        return of_task(str(target.task_id), target.agent_type)

    async def start(self, target: Target) -> str | None:
        """Start the first run; its run id, or None when it was started before.

        Raises:
            Unavailable: Temporal is away.
        """
        request = c.TaskInput(str(target.task_id), 1, target.auto_accept)
        try:
            with translated():
                handle = await self._client.start_workflow(
                    AgentTask.run,
                    request,
                    id=target.workflow_id,
                    task_queue=self._task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    task_timeout=c.TASK_TIMEOUT,
                    search_attributes=self._found_by(target),
                    rpc_timeout=timedelta(seconds=5),
                )
        except WorkflowAlreadyStartedError:
            return None
        return handle.first_execution_run_id

    async def resume(self, target: Target, *, running: bool = False) -> c.Resumed:
        """Start the next generation, or find it running.

        Args:
            running: the task's row says that it runs: then each request asks anew, for the answer of an earlier one
                would be that of a time before a stop.

        Raises:
            Stopping: the run before is just ending.
            WrongStage: there is nothing to resume.
            OutcomeUnknown: no worker took it in time; it will, when one is there.
        """
        generation = target.generation + 1
        operation = WithStartWorkflowOperation(
            AgentTask.run,
            c.TaskInput(str(target.task_id), generation, target.auto_accept, resume=True),
            id=target.workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=c.TASK_TIMEOUT,
            search_attributes=self._found_by(target),
        )
        update = self._client.start_update_with_start_workflow(
            AgentTask.resume,
            start_workflow_operation=operation,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            id=f"resume:{target.task_id}:{new_id() if running else generation}",
        )
        # Nobody needs the operation's handle, but its error wants to be asked for.
        started = asyncio.ensure_future(operation.workflow_handle())
        try:
            return await self._finish(update, "resume")
        except _AlreadyRunning as found:
            return c.Resumed(target.generation, found.run_id, True)
        finally:
            await end(started)

    async def accept(self, target: Target, answer: c.AcceptPlan) -> c.Answer:
        """Accept the plan.

        Raises:
            WrongStage, WrongPlanHash, UnaddressedFeedback: refused.
            OutcomeUnknown: no worker took it in time.
            NoSuchRun: no run is open.
        """
        update_id = f"accept:{target.run_id}:{answer.plan_hash}"
        return await self._finish(self._send(target, AgentTask.accept_plan, update_id, [answer]), "accept")

    async def done_reviewing(self, target: Target, answer: c.AcceptPlan) -> c.Answer:
        """End the review; errors as in `accept`."""
        update_id = f"reviewed:{target.run_id}:{answer.plan_hash}"
        return await self._finish(self._send(target, AgentTask.done_reviewing, update_id, [answer]), "done-reviewing")

    async def stop(self, target: Target) -> Receipt:
        """Stop, and answer with the receipt; errors as in `accept`."""
        update_id = f"stop:{target.generation}"
        return await self._finish(self._send(target, AgentTask.stop, update_id, []), "stop")

    async def signal_stop(self, target: Target) -> None:
        """Stop once a worker is there; durable when this returns."""
        with translated():
            await self._handle(target).signal(AgentTask.signal_stop, rpc_timeout=timedelta(seconds=5))

    async def is_open(self, target: Target) -> bool:
        """Whether a run is open."""
        try:
            with translated():
                described = await self._handle(target).describe(rpc_timeout=timedelta(seconds=5))
        except NoSuchRun:
            return False
        return described.status == WorkflowExecutionStatus.RUNNING

    def _handle(self, target: Target) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(target.workflow_id)

    def _send(self, target: Target, update: Any, update_id: str, arguments: list[Any]) -> Any:
        return self._handle(target).start_update(
            update, args=arguments, id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )

    async def _finish(self, sending: Any, command: str) -> Any:
        unknown = OutcomeUnknown(
            f"No worker answered {command} in time; it may still happen. Repeating it is safe.",
            dependency="worker",
            retry_after=2,
        )
        try:
            with translated():
                handle = await asyncio.wait_for(sending, ACCEPT_SECONDS)
                return await asyncio.wait_for(handle.result(), ANSWER_SECONDS)
        except WorkflowUpdateFailedError as failure:
            raise _refusal(failure.cause) from failure
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise unknown from error


def _refusal(cause: BaseException | None) -> Exception:
    if not isinstance(cause, ApplicationError):
        return Conflict(f"The command was refused: {cause}")
    if cause.type == c.REFUSED_WRONG_HASH:
        current = cause.details[0] if cause.details else None
        return WrongPlanHash(
            cause.message, field="hash", remedy="Read the current plan and accept its hash.", current_hash=current
        )
    if cause.type == c.REFUSED_FEEDBACK:
        return UnaddressedFeedback(
            cause.message, remedy="Finish the review (done-reviewing) and accept the new version."
        )
    if cause.type == c.REFUSED_RUNNING:
        return _AlreadyRunning(cause.details[0])
    if cause.type == c.REFUSED_STOPPING:
        return Stopping(cause.message, remedy="Repeat the command.")
    return WrongStage(cause.message, remedy="Look at the task's stage and act on that.")
