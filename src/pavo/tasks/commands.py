"""The commands that a task's workflow takes, with their ids, and what they may be refused with."""

import uuid
from dataclasses import dataclass, replace
from typing import Final

from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.exceptions import ApplicationError

from pavo.errors import Stopping, UnaddressedFeedback, WrongPlanHash, WrongStage
from pavo.kit.ids import new_id
from pavo.runs.presence import Presence
from pavo.runs.story import QUICK_TASK_TIMEOUT
from pavo.runs.workflow_calls import NotTaken, Refusals, Start, WorkflowCalls
from pavo.tasks import contracts as c
from pavo.tasks.domain import Receipt
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.workflow import AgentTask
from pavo.temporal.search_attributes import of_task

OPEN_FEEDBACK: Final = (
    "Finish the review (done-reviewing) and accept the new version; withdraw the comments; or say override_feedback."
)
"""What to do where comments keep a plan from being accepted."""


@dataclass(frozen=True, slots=True)
class TaskRun:
    """Which run of which task a command means."""

    task_id: uuid.UUID
    workflow_id: str
    run_id: str | None
    generation: int
    auto_accept: bool
    child: bool = False
    """Whether another task delegated it, and waits for its end."""

    @property
    def agent_type(self) -> str:
        """Of the task; the workflow's id ends with it."""
        return self.workflow_id.rpartition("|a:")[2]


def run_of(task: TaskRow) -> TaskRun:
    """The run that a command to this task means."""
    child = task.parent_id is not None
    return TaskRun(task.id, task.workflow_id, task.run_id, task.generation, task.auto_accept, child)


class _AlreadyRunning(Exception):
    """A resume found its task running."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class TaskCommands:
    """Sends commands to the workflows of tasks."""

    def __init__(self, client: Client, task_queue: str, presence: Presence, *, search_attributes: bool = False) -> None:
        self._calls = WorkflowCalls(client, task_queue, presence, _REFUSALS)
        self._search_attributes = search_attributes

    async def start(self, run: TaskRun, *, quick: bool = False) -> str | None:
        """Start the first run; its run id, or None when it was started before.

        Args:
            quick: whether the agent declares that it is.

        Raises:
            Unavailable: Temporal is away.
        """
        quick = quick and run.auto_accept
        start = self._start(run, c.TaskInput(str(run.task_id), 1, run.auto_accept, quick=quick, child=run.child))
        return await self._calls.start(replace(start, task_timeout=QUICK_TASK_TIMEOUT) if quick else start)

    async def resume(self, run: TaskRun, *, running: bool = False) -> c.Resumed:
        """Start the next generation, or find it running.

        Args:
            running: the task's row says that it runs: then each request asks anew, for the answer of an earlier one
                would be that of a time before a stop.

        Raises:
            Stopping: the run before is just ending.
            WrongStage: there is nothing to resume.
            OutcomeUnknown: no worker took it in time; it will, when one is there.
        """
        generation = run.generation + 1
        request = c.TaskInput(str(run.task_id), generation, run.auto_accept, resume=True, child=run.child)
        start = self._start(run, request)
        update_id = f"resume:{run.task_id}:{new_id() if running else generation}"
        try:
            return await self._calls.update_with_start(start, AgentTask.resume, update_id, "resume")
        except _AlreadyRunning as found:
            return c.Resumed(run.generation, found.run_id, True)

    async def accept(self, run: TaskRun, answer: c.AcceptPlan, *, seen: int) -> c.Answer:
        """Accept the plan.

        Args:
            seen: the newest event of the task's timeline: a refusal for a comment ends with that comment, and whoever
                asks again after it was withdrawn must not be given the old answer.

        Raises:
            WrongStage, WrongPlanHash, UnaddressedFeedback: refused.
            OutcomeUnknown: no worker took it in time.
            NoSuchRun: no run is open.
        """
        update_id = f"accept:{run.run_id}:{answer.plan_hash}:{seen}{':override' if answer.override else ''}"
        return await self._calls.update_and_wait(run.workflow_id, AgentTask.accept_plan, update_id, "accept", [answer])

    async def done_reviewing(self, run: TaskRun, answer: c.AcceptPlan) -> c.Answer:
        """End the review; errors as in `accept`."""
        update_id, name = f"reviewed:{run.run_id}:{answer.plan_hash}", "done-reviewing"
        return await self._calls.update_and_wait(run.workflow_id, AgentTask.done_reviewing, update_id, name, [answer])

    async def answer_gate(self, run: TaskRun, gate_id: uuid.UUID, answer_id: uuid.UUID) -> bool:
        """Have a gate closed with this answer; whether it was. Errors as in `accept`."""
        answer = c.AnswerGate(str(gate_id), str(answer_id))
        update_id = f"gate:{answer_id}"
        return await self._calls.update_and_wait(run.workflow_id, AgentTask.answer_gate, update_id, "answer", [answer])

    async def stop(self, run: TaskRun, *, not_taken: NotTaken | None = None) -> Receipt:
        """Stop, and answer with the receipt; errors as in `accept`.

        Args:
            not_taken: called when no worker has taken it at once, before those that live are waited for.
        """
        update_id = f"stop:{run.generation}"
        return await self._calls.update_and_wait(
            run.workflow_id, AgentTask.stop, update_id, "stop", not_taken=not_taken
        )

    async def signal_stop(self, run: TaskRun) -> None:
        """Stop once a worker is there; durable when this returns."""
        await self._calls.signal(run.workflow_id, AgentTask.signal_stop)

    async def tell_child_over(self, run: TaskRun, child_id: uuid.UUID) -> None:
        """Tell a run that a task that it delegated has ended; durable when this returns.

        Raises:
            NoSuchRun: no run is open.
        """
        await self._calls.signal(run.workflow_id, AgentTask.child_over, [str(child_id)])

    async def is_open(self, run: TaskRun) -> bool:
        """Whether a run is open."""
        return await self._calls.is_open(run.workflow_id)

    def _start(self, run: TaskRun, argument: c.TaskInput) -> Start:
        found_by = of_task(str(run.task_id), run.agent_type) if self._search_attributes else TypedSearchAttributes.empty
        return Start(AgentTask.run, argument, run.workflow_id, found_by)


def _wrong_hash(refusal: ApplicationError) -> Exception:
    current = refusal.details[0] if refusal.details else None
    remedy = "Read the current plan and accept its hash."
    return WrongPlanHash(refusal.message, field="hash", remedy=remedy, current_hash=current)


def _feedback(refusal: ApplicationError) -> Exception:
    remedy = OPEN_FEEDBACK
    return UnaddressedFeedback(refusal.message, remedy=remedy)


def _wrong_stage(refusal: ApplicationError) -> Exception:
    return WrongStage(refusal.message, remedy="Look at the task's stage and act on that.")


_REFUSALS: Final[Refusals] = {
    c.REFUSED_WRONG_STAGE: _wrong_stage,
    c.REFUSED_WRONG_HASH: _wrong_hash,
    c.REFUSED_FEEDBACK: _feedback,
    c.REFUSED_STOPPING: lambda refusal: Stopping(refusal.message, remedy="Repeat the command."),
    c.REFUSED_RUNNING: lambda refusal: _AlreadyRunning(refusal.details[0]),
}
