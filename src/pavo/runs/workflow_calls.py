"""Starting a run, updates and signals to it: deterministic ids, time limits, refusals as Pavo's errors.

An update needs a worker. One that lives but has much to do is waited for; where none lives, nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeAlias, TypeVar

from temporalio.api.enums.v1 import VersioningBehavior
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
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import UpdateMethodMultiParam

from pavo.errors import Conflict, OutcomeUnknown
from pavo.kit.cancellation import end
from pavo.runs.presence import Presence
from pavo.runs.story import TASK_TIMEOUT
from pavo.temporal.failures import NoSuchRun, translated

AnswerT = TypeVar("AnswerT")

_Send: TypeAlias = Callable[[], Coroutine[Any, Any, WorkflowUpdateHandle[AnswerT]]]

RPC_TIMEOUT = timedelta(seconds=5)
ACCEPT_SECONDS = 2.0
"""How long an idle worker may take to pick a command up."""
BUSY_SECONDS = 20.0
"""How long one that lives, but has much to do, may take."""
LOOK_SECONDS = 0.5
"""After so long it is looked again whether any lives."""
AGAIN_SECONDS = 0.1
"""After so long an update is sent again that the server has let go."""
ANSWER_SECONDS = 45.0
"""How long a command may take to be carried out: a stop waits for the step in flight."""

NotTaken = Callable[[], Awaitable[object]]
Refusals = Mapping[str, Callable[[ApplicationError], Exception]]
"""By the type of the error that an update fails with: the error that says the same to the caller."""

NO_WORKER: Final = "no worker"
BUSY: Final = "busy"
SLOW: Final = "slow"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start."""

    run: Any
    """The run method of the workflow class."""
    argument: object
    workflow_id: str
    search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty
    task_timeout: timedelta = TASK_TIMEOUT


class WorkflowCalls:
    """Starts the workflows of one kind and sends them updates and signals.

    Args:
        presence: of the workers of the task queue; None: nobody can tell whether any live.
        refusals: what the updates of its workflow refuse; another type becomes `Conflict`.
    """

    def __init__(self, client: Client, task_queue: str, presence: Presence | None, refusals: Refusals) -> None:
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
                    task_timeout=start.task_timeout,
                    search_attributes=start.search_attributes,
                    rpc_timeout=RPC_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            return None
        return handle.first_execution_run_id

    async def update_with_start(
        self, start: Start, update: "UpdateMethodMultiParam[..., Awaitable[AnswerT]]", update_id: str, name: str
    ) -> AnswerT:
        """Start the next run under an id, or find the open one, and send it an update in the same moment.

        Args:
            name: of the command, for people.

        Raises:
            OutcomeUnknown: no worker took it in time; it will, when one is there.
            Unavailable: Temporal is away.
            Exception: what the refusals say.
        """
        begun: list[asyncio.Future[Any]] = []

        async def send() -> WorkflowUpdateHandle[AnswerT]:
            operation = WithStartWorkflowOperation(
                start.run,
                start.argument,
                id=start.workflow_id,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=start.task_timeout,
                search_attributes=start.search_attributes,
            )
            # Nobody needs the operation's handle, but asyncio complains of an error that nobody has asked for.
            begun.append(asyncio.ensure_future(operation.workflow_handle()))
            sent: Any = await self._client.start_update_with_start_workflow(
                update,
                start_workflow_operation=operation,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                id=update_id,
            )
            return sent

        try:
            return await self._answer(send, name, start.workflow_id)
        finally:
            await end(*begun)

    async def update_and_wait(
        self,
        workflow_id: str,
        update: "UpdateMethodMultiParam[..., Awaitable[AnswerT]]",
        update_id: str,
        name: str,
        arguments: Sequence[object] = (),
        *,
        not_taken: NotTaken | None = None,
    ) -> AnswerT:
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

        async def send() -> WorkflowUpdateHandle[AnswerT]:
            sent: Any = await self._handle(workflow_id).start_update(
                update, args=list(arguments), id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
            )
            return sent

        return await self._answer(send, name, workflow_id, not_taken)

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
        self, send: "_Send[AnswerT]", name: str, workflow_id: str, not_taken: NotTaken | None = None
    ) -> AnswerT:
        with translated():
            try:
                async with _Sending(send) as sending:
                    handle = await self._accepted(sending, name, workflow_id, not_taken)
            except WorkflowUpdateFailedError as failure:
                raise self._refusal(failure.cause) from failure
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
                if not_taken is not None:  # the call broke off, perhaps before it was asked; twice harms nothing
                    await not_taken()
                raise _unknown(name, UNKNOWN) from error
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await handle.result()
            except WorkflowUpdateFailedError as failure:
                raise self._refusal(failure.cause) from failure
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
                raise _unknown(name, SLOW) from error

    async def _accepted(
        self, sending: "_Sending[AnswerT]", name: str, workflow_id: str, not_taken: NotTaken | None
    ) -> WorkflowUpdateHandle[AnswerT]:
        """The update once a worker has taken it."""
        until = asyncio.get_running_loop().time() + BUSY_SECONDS
        if handle := await sending.taken_within(ACCEPT_SECONDS):
            return handle
        if not_taken is not None:
            await not_taken()
        version = await self._pinned_to(workflow_id)
        while workers := None if self._presence is None else await self._presence.workers(version):
            if handle := await sending.taken_within(LOOK_SECONDS):
                return handle
            if asyncio.get_running_loop().time() > until:
                raise _unknown(name, BUSY)
        raise _unknown(name, UNKNOWN if workers is None else NO_WORKER)

    async def _pinned_to(self, workflow_id: str) -> str | None:
        """`deployment:build` whose workers alone go on with the open run; None where any will."""
        try:
            with translated():
                described = await self._handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except NoSuchRun:
            return None
        info = described.raw_info.versioning_info
        if info.behavior != VersioningBehavior.VERSIONING_BEHAVIOR_PINNED:
            return None
        return f"{info.deployment_version.deployment_name}:{info.deployment_version.build_id}"

    def _refusal(self, cause: BaseException | None) -> Exception:
        if not isinstance(cause, ApplicationError):
            return Conflict(f"The command was refused: {cause}")
        known = self._refusals.get(cause.type or "")
        return known(cause) if known else Conflict(cause.message)


class _Sending(Generic[AnswerT]):
    """An update on its way, sent again where the server has let it go: its id lets it take effect once."""

    def __init__(self, send: "_Send[AnswerT]") -> None:
        self._send = send
        self._sent = asyncio.ensure_future(send())

    async def __aenter__(self) -> "_Sending[AnswerT]":
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._sent)

    async def taken_within(self, seconds: float) -> WorkflowUpdateHandle[AnswerT] | None:
        """Once a worker has taken it; None when none has within these seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            await asyncio.wait({self._sent}, timeout=until - loop.time())
            if not self._sent.done():
                return None
            try:
                return self._sent.result()
            except RPCError as error:
                if not _let_go(error):
                    raise
            if loop.time() + AGAIN_SECONDS > until:
                await asyncio.sleep(max(0.0, until - loop.time()))
                self._sent = asyncio.ensure_future(self._send())
                return None
            await asyncio.sleep(AGAIN_SECONDS)
            self._sent = asyncio.ensure_future(self._send())


def _let_go(error: RPCError) -> bool:
    """Whether the server has forgotten an update that no worker had taken: it keeps them in memory until then.

    Its shard moved, the workflow task with it failed, or the run was just closing or continuing as new (server 1.32,
    service/history/workflow/update/abort_reason.go and errors_failures.go).
    """
    if error.status == RPCStatusCode.UNAVAILABLE:
        return "update was aborted" in error.message
    return error.status in (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION)


_TEXTS: Final = {
    NO_WORKER: "No worker is there to take the command {name}.",
    BUSY: "The workers are there but too busy to take the command {name} in time.",
    SLOW: "A worker took the command {name} but has not finished it.",
    UNKNOWN: "Nobody took the command {name} in time, and it is not known whether a worker is there.",
}


def _unknown(name: str, reason: str) -> OutcomeUnknown:
    detail = f"{_TEXTS[reason].format(name=name)} It may still happen; repeating it is safe."
    return OutcomeUnknown(detail, dependency="worker", retry_after=2, reason=reason)
