"""What people command the workflow of a job's attempt, and how it is looked up."""

import uuid
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.exceptions import ApplicationError

from pavo.errors import WrongStage
from pavo.jobs.attempt import contracts as a
from pavo.jobs.workflow import CodingJob
from pavo.runs.presence import Presence
from pavo.runs.workflow_calls import RPC_TIMEOUT, NotTaken, Refusals, WorkflowCalls
from pavo.temporal.failures import translated

MAX_FAILURE_TOLD: Final = 2_000


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """An activity that the workflow waits for."""

    activity: str
    state: str
    """scheduled, started, cancel_requested, paused."""
    task_queue: str
    """Empty where Temporal does not say."""
    attempt: int
    last_failure: str
    """Empty: none."""


@dataclass(frozen=True, slots=True)
class WorkflowStatus:
    """What Temporal knows of the workflow of a job's newest attempt."""

    workflow_id: str
    run_id: str
    status: str
    """running, completed, failed, canceled, terminated, continued_as_new, timed_out; unknown: Temporal has none."""
    history_events: int
    pending: tuple[PendingCommand, ...] = ()
    link: str | None = None
    """Its page in Temporal's UI; None: it is not known where that is."""


class JobCommands:
    """Sends commands to workflows of jobs; errors as `WorkflowCalls` has them.

    Args:
        ui_url: of Temporal's UI; empty: there is none.
    """

    def __init__(self, client: Client, task_queue: str, presence: Presence, ui_url: str = "") -> None:
        self._client = client
        self._ui_url = ui_url.rstrip("/")
        self._calls = WorkflowCalls(client, task_queue, presence, _REFUSALS)

    async def cancel(self, workflow_id: str, *, not_taken: NotTaken) -> a.CancelReceipt:
        """Cancel, and answer with the receipt.

        Args:
            not_taken: called when no worker has taken it at once, before those that live are waited for.

        Raises:
            NoSuchRun: no workflow is open.
            OutcomeUnknown: no worker took it in time, or none finished it.
        """
        return await self._calls.update_and_wait(
            workflow_id, CodingJob.cancel_and_wait, "cancel", "cancel", not_taken=not_taken
        )

    async def signal_cancel(self, workflow_id: str) -> None:
        """Cancel once a worker is there; durable when this returns."""
        await self._calls.signal(workflow_id, CodingJob.cancel)

    async def answer_gate(self, workflow_id: str, gate_id: uuid.UUID, answer_id: uuid.UUID) -> bool:
        """Have a gate closed with this answer; whether it was."""
        answer = a.AnswerGate(str(gate_id), str(answer_id))
        update_id = f"gate:{answer_id}"
        return await self._calls.update_and_wait(workflow_id, CodingJob.answer_gate, update_id, "answer", [answer])

    async def status(self, workflow_id: str) -> WorkflowStatus:
        """What Temporal knows of a workflow.

        Raises:
            NoSuchRun: it has none with this id.
            Unavailable: Temporal is away.
        """
        with translated():
            found = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        return replace(_status_of(found), link=self._link(found.id, found.run_id))

    def _link(self, workflow_id: str, run_id: str) -> str | None:
        if not self._ui_url:
            return None
        parts = (self._client.namespace, "workflows", workflow_id, run_id, "history")
        return "/".join((self._ui_url, "namespaces", *(quote(each, safe="") for each in parts)))


def _status_of(found: WorkflowExecutionDescription) -> WorkflowStatus:
    pending = tuple(_pending(each) for each in found.raw_description.pending_activities)
    status = found.status.name.lower() if found.status is not None else "unknown"
    return WorkflowStatus(found.id, found.run_id, status, found.history_length, pending)


def _pending(found: PendingActivityInfo) -> PendingCommand:
    state = PendingActivityState.Name(found.state).removeprefix("PENDING_ACTIVITY_STATE_").lower()
    failure = found.last_failure.message[:MAX_FAILURE_TOLD] if found.HasField("last_failure") else ""
    queue = found.activity_options.task_queue.name if found.HasField("activity_options") else ""
    return PendingCommand(found.activity_type.name, state, queue, found.attempt, failure)


def _nothing_asked(refusal: ApplicationError) -> Exception:
    return WrongStage(refusal.message, remedy="Look at the job's stage.")


_REFUSALS: Final[Refusals] = {a.REFUSED_NOTHING_ASKED: _nothing_asked}
