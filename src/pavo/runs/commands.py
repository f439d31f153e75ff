"""Commands on their way to a run's workflow: deterministic ids, time limits, refusals as Pavo's errors.

An update needs a worker. One that lives but has much to do is waited for; where none lives, nobody waits for it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from pavo.errors import Conflict, OutcomeUnknown
from pavo.kit.cancellation import end
from pavo.runs.presence import Presence
from pavo.runs.story import TASK_TIMEOUT
from pavo.temporal.failures import NoSuchRun, translated

Answer = TypeVar("Answer")

RPC_TIMEOUT = timedelta(seconds=5)
ACCEPT_SECONDS = 2.0
"""How long an idle worker may take to pick a command up."""
BUSY_SECONDS = 20.0
"""How long one that lives, but has much to do, may take."""
LOOK_SECONDS = 0.5
"""After so long it is looked again whether any lives."""
ANSWER_SECONDS = 45.0
"""How long a command may take to be carried out: a stop waits for the step in flight."""

NotTaken = Callable[[], Awaitable[object]]
Refusals = Mapping[str, Callable[[ApplicationError], Exception]]
"""By the type of the error that an update fails with: the error that says the same to the caller."""

NO_WORKER: Final = "no worker"
BUSY: Final = "busy"
SLOW: Final = "slow"


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start."""

    run: Any
    """The run method of the workflow class."""
    argument: object
    workflow_id: str
    search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty


class Commands:
    """Sends commands to the workflows of one kind.

    Args:
        presence: of the workers of the task queue.
        refusals: what the updates of its workflow refuse; another type becomes `Conflict`.
    """

    def __init__(self, client: Client, task_queue: str, presence: Presence, refusals: Refusals) -> None:
        self._client = client
        self._task_queue = task_queue
        self._presence = presence
        self._refusals = refusals

    async def start(self, start: Start) -> str | None:
        """Start the first run under an id; its run id, or None when there has been one before.

        Raises:
            Unavailable: Temporal is away.
        """
        try:
            with translated():
                handle: WorkflowHandle[Any, Any] = await self._client.start_workflow(
                    start.run,
                    start.argument,
                    id=start.workflow_id,
                    task_queue=self._task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    task_timeout=TASK_TIMEOUT,
                    search_attributes=start.search_attributes,
                    rpc_timeout=RPC_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            return None
        return handle.first_execution_run_id

    async def update_with_start(self, start: Start, update: Any, update_id: str, name: str) -> Any:
        """Start the next run under an id, or find the open one, and send it an update in the same moment.

        Args:
            name: of the command, for people.

        Raises:
            OutcomeUnknown: no worker took it in time; it will, when one is there.
            Unavailable: Temporal is away.
            Exception: what the refusals say.
        """
        operation = WithStartWorkflowOperation(
            start.run,
            start.argument,
            id=start.workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=TASK_TIMEOUT,
            search_attributes=start.search_attributes,
        )
        sending = self._client.start_update_with_start_workflow(
            update,
            start_workflow_operation=operation,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            id=update_id,
        )
        # Nobody needs the operation's handle, but asyncio complains of an error that nobody has asked for.
        started = asyncio.ensure_future(operation.workflow_handle())
        try:
            return await self._answer(sending, name)
        finally:
            await end(started)

    async def update(
        self,
        workflow_id: str,
        update: Any,
        update_id: str,
        name: str,
        arguments: Sequence[object] = (),
        *,
        not_taken: NotTaken | None = None,
    ) -> Any:
        """Send an update to the open run and wait for its answer; the same id takes effect once.

        Args:
            name: of the command, for people.
            not_taken: called when no worker has taken the update at once: for instance to send the same as a signal,
                which is durable. The update is waited for nevertheless while a worker lives.

        Raises:
            NoSuchRun: no run is open.
            OutcomeUnknown: no worker took it in time, or none finished it: its `reason` says which.
            Unavailable: Temporal is away.
            Exception: what the refusals say.
        """
        sending = self._handle(workflow_id).start_update(
            update, args=list(arguments), id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        return await self._answer(sending, name, not_taken)

    async def signal(self, workflow_id: str, signal: Any, arguments: Sequence[object] = ()) -> None:
        """Send a signal to the open run; durable when this returns.

        Raises:
            NoSuchRun: no run is open.
            Unavailable: Temporal is away.
        """
        with translated():
            await self._handle(workflow_id).signal(signal, args=list(arguments), rpc_timeout=RPC_TIMEOUT)

    async def is_open(self, workflow_id: str) -> bool:
        """Whether a run is open.

        Raises:
            Unavailable: Temporal is away.
        """
        try:
            with translated():
                described = await self._handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except NoSuchRun:
            return False
        return described.status == WorkflowExecutionStatus.RUNNING

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id)

    async def _answer(
        self,
        sending: Awaitable[WorkflowUpdateHandle[Answer]],
        name: str,
        not_taken: NotTaken | None = None,
    ) -> Answer:
        try:
            with translated():
                async with _ending(asyncio.ensure_future(sending)) as sent:
                    handle = await self._accepted(sent, name, not_taken)
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await handle.result()
        except WorkflowUpdateFailedError as failure:
            raise self._refusal(failure.cause) from failure
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _unknown(name, SLOW) from error

    async def _accepted(
        self,
        sent: "asyncio.Future[WorkflowUpdateHandle[Answer]]",
        name: str,
        not_taken: NotTaken | None,
    ) -> WorkflowUpdateHandle[Answer]:
        """The update once a worker has taken it."""
        if await _done_within(sent, ACCEPT_SECONDS):
            return sent.result()
        if not_taken is not None:
            await not_taken()
        waited = ACCEPT_SECONDS
        while await self._presence.workers():
            if await _done_within(sent, LOOK_SECONDS):
                return sent.result()
            waited += LOOK_SECONDS
            if waited >= BUSY_SECONDS:
                raise _unknown(name, BUSY)
        raise _unknown(name, NO_WORKER)

    def _refusal(self, cause: BaseException | None) -> Exception:
        if not isinstance(cause, ApplicationError):
            return Conflict(f"The command was refused: {cause}")
        known = self._refusals.get(cause.type or "")
        return known(cause) if known else Conflict(cause.message)


async def _done_within(sent: "asyncio.Future[Any]", seconds: float) -> bool:
    await asyncio.wait({sent}, timeout=seconds)
    return sent.done()


@contextlib.asynccontextmanager
async def _ending(sent: "asyncio.Future[Answer]") -> AsyncGenerator["asyncio.Future[Answer]"]:
    """Who stops waiting for it leaves nothing behind."""
    try:
        yield sent
    finally:
        if not sent.done():
            await end(sent)


_TEXTS: Final = {
    NO_WORKER: "No worker is there to take {name}; it happens once there is one.",
    BUSY: "The workers are there but too busy to take {name} in time; it happens once they come to it.",
    SLOW: "A worker took {name} but has not finished it; it may still happen.",
}


def _unknown(name: str, reason: str) -> OutcomeUnknown:
    detail = f"{_TEXTS[reason].format(name=name)} Repeating it is safe."
    return OutcomeUnknown(detail, dependency="worker", retry_after=2, reason=reason)
