"""What the workflow of one attempt and its short writes say to each other, and what it is commanded and answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from temporalio import activity

from pavo.jobs.contracts import JobInput, Plan, Route
from pavo.runs.fence import Fence

ACCEPT: Final = "accept"
REVISE: Final = "revise"
"""Answers to it; the note says what is to change."""
UPDATE_CANCEL: Final = "cancel_and_wait"
UPDATE_ANSWER_GATE: Final = "answer_gate"
REFUSED_NOTHING_ASKED: Final = "NothingAsked"

VERIFICATION_FAILED: Final = "VerificationFailed"
COMMAND_FAILED: Final = "CommandFailed"
"""Type of an agent's error that has none of its own."""
LEASE_EXPIRED: Final = "LeaseExpired"
STUCK: Final = "Stuck"
WHY_LOST: Final = {
    LEASE_EXPIRED: (
        "Its agent was not heard for a minute.",
        "Look whether the agent's machine runs and reaches the gateway; what it has done is kept.",
    ),
    STUCK: (
        "No log line, stage or result came of it for too long.",
        "Look at the job's log: what it did last has perhaps no end.",
    ),
}
"""Cause and remedy, by the type of the error."""


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """The workflow is there: the row says so."""

    job_id: str
    epoch: int
    fence: Fence


@dataclass(frozen=True, slots=True)
class EnterStage:
    """Show a stage."""

    job_id: str
    epoch: int
    fence: Fence
    stage: str


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """The attempt is over."""

    job_id: str
    epoch: int
    fence: Fence
    how: str
    """done, failed, cancelled or lost (back to its queue, or FAILED when it was tried often enough)."""
    error: str = ""
    cause: str = ""
    remedy: str = ""
    cleaned: bool = True
    """Whether the agent has cleaned up; else it owes that."""
    command_id: str = ""
    """Of the command whose result tells cause and remedy, where these are not given."""
    outcome: str = ""
    """no_changes, or empty: what was published tells."""


@dataclass(frozen=True, slots=True)
class JobStep:
    """The plan of an attempt is opened for review."""

    job_id: str
    epoch: int
    fence: Fence
    command_id: str = ""
    """Of the command that made it."""


@dataclass(frozen=True, slots=True)
class PlanOpened:
    """The gate over a plan."""

    holds: bool
    gate_id: str = ""
    accepted: bool = False
    """The very same plan was accepted before."""


@dataclass(frozen=True, slots=True)
class AnswerGate:
    """Somebody answered: the proposal that is to close the gate."""

    gate_id: str
    answer_id: str


@dataclass(frozen=True, slots=True)
class RecordPlanAnswer:
    """Close the gate with this proposal."""

    job_id: str
    gate_id: str
    answer_id: str


@dataclass(frozen=True, slots=True)
class PlanAnswered:
    """What closing the gate has led to."""

    taken: bool
    """Whether it is closed by this answer."""
    closed: bool = False
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class CancelReceipt:
    """What cancelling a job has reached."""

    stage: str
    reached: bool
    """Whether its agent was told; false: it was away, and cleans up when it comes back. True where no agent had it."""
    killed: int = 0
    """Processes that were ended there."""
    cleaned: bool = True
    """Whether its worktree is gone."""


class JobActivities(ABC):
    """Short writes of the job's workflow."""

    @activity.defn(name="begin_job_attempt")
    @abstractmethod
    async def begin_attempt(self, request: BeginAttempt) -> Plan:
        """Note the workflow in the row; what is to be done."""

    @activity.defn(name="route_job")
    @abstractmethod
    async def route(self, request: JobInput) -> Route:
        """Where commands of this attempt go now."""

    @activity.defn(name="enter_job_stage")
    @abstractmethod
    async def enter_stage(self, request: EnterStage) -> bool:
        """Whether the attempt still holds the job; then the stage is shown."""

    @activity.defn(name="end_job_attempt")
    @abstractmethod
    async def end_attempt(self, request: EndAttempt) -> str:
        """The stage in which the job is then; whoever waits for the agent or the queue is told."""

    @activity.defn(name="open_job_plan")
    @abstractmethod
    async def open_plan(self, request: JobStep) -> PlanOpened:
        """Have people asked about the plan that the command made."""

    @activity.defn(name="record_job_plan_answer")
    @abstractmethod
    async def record_plan_answer(self, request: RecordPlanAnswer) -> PlanAnswered:
        """Close the gate with an answer. No fence: the answer is bound to the gate, which takes one alone."""
