"""What the task's workflow and its activities say to each other: ids and numbers, never documents."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from pavo.runs.fence import Fence
from pavo.runs.story import HEARTBEAT_TIMEOUT, INFRASTRUCTURE
from pavo.tasks.domain import PHASE_PLANNING, Receipt
from pavo.tasks.waits.contracts import AnswerGate as AnswerGate
from pavo.tasks.waits.contracts import BeginChildren as BeginChildren
from pavo.tasks.waits.contracts import ExpireGates as ExpireGates
from pavo.tasks.waits.contracts import FamilyActivities as FamilyActivities
from pavo.tasks.waits.contracts import GatesExpired as GatesExpired
from pavo.tasks.waits.contracts import RecordGate as RecordGate

AGENT_WORK: Final = workflow.ActivityConfig(
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    schedule_to_close_timeout=timedelta(days=3650),
    retry_policy=INFRASTRUCTURE,
    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""Planning, revising and executing. No limit but the heartbeat: a long step is no dead one."""

QUICK_STRETCH: Final = workflow.LocalActivityConfig(
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=RetryPolicy(maximum_attempts=1),
    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""The first stretch of a quick agent, as a local activity: what fails is left to `AGENT_WORK`."""
STRETCH_SECONDS: Final = 0.7
"""At the first step boundary after so long the stretch ends: before its workflow task has to tell the server that it
lives (80 % of `QUICK_TASK_TIMEOUT`), which costs three events each time. Updates wait for that end; a stop does not,
it comes as a hint too."""

HINT_LEAD: Final = timedelta(seconds=1)
"""How far a hint may be ahead of the stop that it announces; if none comes, execution goes on."""

PATCH_ASK_TO_MOVE: Final = "ask-to-move"
"""Histories of before, whose attempts ended by themselves, have no such write. Goes when none of them is open."""

UPDATE_ACCEPT_PLAN: Final = "accept_plan"
UPDATE_DONE_REVIEWING: Final = "done_reviewing"
UPDATE_ANSWER_GATE: Final = "answer_gate"
UPDATE_STOP: Final = "stop"
UPDATE_RESUME: Final = "resume"
SIGNAL_CHILD_OVER: Final = "child_over"
WORKFLOW_TYPE: Final = "AgentTask"

# The types of the errors that updates fail with; `commands` turns them into the error tree.
REFUSED_WRONG_STAGE: Final = "WrongStage"
REFUSED_WRONG_HASH: Final = "WrongPlanHash"
REFUSED_FEEDBACK: Final = "UnaddressedFeedback"
REFUSED_GATE: Final = "GateNotOpen"
REFUSED_STOPPING: Final = "Stopping"
REFUSED_RUNNING: Final = "AlreadyRunning"


@dataclass(frozen=True, slots=True)
class TaskInput:
    """Starts a run, or continues one as new."""

    task_id: str
    generation: int
    auto_accept: bool = False
    resume: bool = False
    """Whether to ask the database where to go on; a first start knows."""
    carry: "RunState | None" = None
    """Of the run before this one, where that has continued as new."""
    quick: bool = False
    """Whether the first stretch is carried out inside the workflow task: see `QUICK_STRETCH`."""
    child: bool = False
    """Whether another task waits for its end."""


@dataclass(slots=True)
class RunState:
    """Where a run stands: handed on as it is when the run continues as new."""

    transition: int = 0
    """Number of the last write."""
    phase: str = PHASE_PLANNING
    plan_hash: str | None = None
    failures: int = 0
    """How often the agent itself failed at what it is at."""
    failed_step: int = -1
    """Number of the last step that was recorded before it failed."""
    steps: int = 0
    """How many are recorded."""
    gates: list[str] = field(default_factory=list[str])
    """What people were asked when the last attempt ended to wait, and the tasks that were delegated; empty: nothing is
    waited for."""
    wake_at: float | None = None
    """When the first of them expires, in seconds since 1970 by PostgreSQL's clock."""
    delegated: bool = False
    """Whether this run has delegated anything: those tasks end with it."""


@dataclass(frozen=True, slots=True)
class BeginRun:
    """A resumed run asks where it stands."""

    task_id: str
    fence: Fence


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a resumed run goes on."""

    phase: str
    """`over`: nothing to do, the task is done or deleted."""
    plan_hash: str | None
    steps: int


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Plan from scratch, or revise the plan that was just reviewed."""

    task_id: str
    fence: Fence
    """Of the write that shows PLANNING. With `auto_accept` two more are reserved: of the write that stores the plan as
    accepted, and of the one that shows DONE, should the attempt get so far."""
    auto_accept: bool = False
    failures: int = 0
    """How often the agent itself failed at this already."""
    stretch_seconds: float | None = None
    """At the first step boundary after so long the work ends, and goes on as another activity."""


@dataclass(frozen=True, slots=True)
class AgentFailure:
    """An error of the agent's own. What it says is in the execution's row."""

    type: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class PlanMade:
    """A plan is stored as a draft (or accepted by policy), or the agent failed to make one."""

    plan_hash: str | None = None
    accepted: bool = False
    failure: AgentFailure | None = None


@dataclass(frozen=True, slots=True)
class OpenReview:
    """Show the draft and take answers on it."""

    task_id: str
    fence: Fence
    plan_hash: str


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """Record that the plan is accepted, or that its review is done."""

    task_id: str
    fence: Fence
    plan_hash: str
    by: str
    user_id: str | None = None
    """Of whoever said it; None for a signal, and for an answer that an API of before has sent."""
    override: bool = False
    """Accept in spite of comments that no revision has answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it: accepted, revising, or refused and why."""

    outcome: str
    """accepted | revising | refused."""
    refusal: str | None = None
    detail: str = ""
    current_hash: str | None = None


ACCEPTED: Final = "accepted"
REVISING: Final = "revising"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class ExecuteBatch:
    """Execute steps from the last recorded one."""

    task_id: str
    fence: Fence
    """Of the write that shows DONE, should the attempt get so far."""
    plan_hash: str
    failures: int = 0
    """How often the agent itself failed at the step after `failed_step`."""
    failed_step: int = -1


@dataclass(frozen=True, slots=True)
class BatchDone:
    """How an attempt ended."""

    outcome: str
    """more | moved | waits | done | stopped | error | failed."""
    steps: int
    """How many steps are recorded now."""
    step_cut: bool = False
    failure: AgentFailure | None = None
    failures: int = 0
    """How often the agent itself failed at the step after `steps`, this time included."""
    gates: list[str] = field(default_factory=list[str])
    """What the agent waits for: the ids of open gates, and of the tasks that it delegated."""
    wake_at: float | None = None
    """When the first of them expires, in seconds since 1970."""
    delegated: bool = False
    """Whether there are tasks among them."""


MORE: Final = "more"
MOVED: Final = "moved"
"""As `more`; the attempt ended because the run is to continue as new. For older builds the two are the same."""
WAITS: Final = "waits"
"""The agent has nothing to do until people answer."""
FINISHED: Final = "done"
"""The report and DONE are recorded, in the transaction that ended the attempt."""
INTERRUPTED: Final = "stopped"
ERROR: Final = "error"
FATAL: Final = "failed"


@dataclass(frozen=True, slots=True)
class AskToMove:
    """Have an attempt end at its next step boundary, for the run is to continue as new."""

    task_id: str
    done: Fence
    """Of the attempt's write that would show DONE: it names the attempt."""


@dataclass(frozen=True, slots=True)
class RecordStop:
    """Show STOPPED and fence whatever may still be running."""

    task_id: str
    fence: Fence
    step_cut: bool


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """Show FAILED with its cause and remedy."""

    task_id: str
    fence: Fence
    failure: AgentFailure
    steps: int


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What became of a task without a review: its plan, and once that is accepted its first attempt."""

    plan: PlanMade
    batch: BatchDone | None = None


@dataclass(frozen=True, slots=True)
class AcceptPlan:
    """Argument of the update `accept_plan`; without a hash the current plan is meant."""

    plan_hash: str | None
    by: str
    """Whose address is not known otherwise: "signal", or the user's id once more."""
    user_id: str | None = None
    override: bool = False
    """Accept in spite of comments that no revision has answered; a worker of before does not know it, and refuses."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Answer of the update `resume`."""

    generation: int
    run_id: str
    already_running: bool


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Answer of the query `query_status`."""

    task_id: str
    phase: str
    plan_hash: str | None
    steps: int
    stopping: bool
    generation: int
    paused: bool = False
    """Whether it waits: for an answer to its plan, or, once stopped, to be resumed."""
    accepted: bool = False
    """Whether a plan is accepted."""


class PlanActivities(ABC):
    """Runs the agent's planning, for people to review. Long; heartbeats; never local; in slots of its own."""

    @activity.defn(name="make_plan")
    @abstractmethod
    async def make_plan(self, request: MakePlan) -> PlanMade:
        """Gather context if the agent wants it, let it plan or revise, and store the draft."""


class AgentActivities(ABC):
    """Runs the agent's work, with what is planned for nobody's review. Long; heartbeats."""

    @activity.defn(name="execute_batch")
    @abstractmethod
    async def execute_batch(self, request: ExecuteBatch) -> BatchDone:
        """Open a lease and record steps until the agent is done, somebody stops it, or it is asked to end."""

    @activity.defn(name="carry_out")
    @abstractmethod
    async def carry_out(self, request: MakePlan) -> CarriedOut:
        """Plan as `make_plan` does, and where policy accepts the plan make the first attempt at once."""


class RecordActivities(ABC):
    """Writes the projection that people read: short fenced transactions."""

    @activity.defn(name="begin_run")
    @abstractmethod
    async def begin_run(self, request: BeginRun) -> Standing:
        """Show the stage that a resumed run returns to, and answer where it goes on."""

    @activity.defn(name="open_review")
    @abstractmethod
    async def open_review(self, request: OpenReview) -> None:
        """Publish the draft: status REVIEW, event `plan`, stage WAIT_RFC, in one transaction."""

    @activity.defn(name="record_acceptance")
    @abstractmethod
    async def record_acceptance(self, request: RecordAnswer) -> Answer:
        """Accept the plan if its hash is current and all feedback is addressed."""

    @activity.defn(name="record_review")
    @abstractmethod
    async def record_review(self, request: RecordAnswer) -> Answer:
        """End the review: lock the plan for revision if there is feedback, else accept it."""

    @activity.defn(name="ask_to_move")
    @abstractmethod
    async def ask_to_move(self, request: AskToMove) -> None:
        """Have an attempt end at its next step boundary."""

    @activity.defn(name="record_gate")
    @abstractmethod
    async def record_gate(self, request: RecordGate) -> bool:
        """Close a gate with an answer; whether it is closed by that one."""

    @activity.defn(name="expire_gates")
    @abstractmethod
    async def expire_gates(self, request: ExpireGates) -> GatesExpired:
        """Close the task's gates whose time is over."""

    @activity.defn(name="record_stop")
    @abstractmethod
    async def record_stop(self, request: RecordStop) -> Receipt:
        """Show STOPPED, raise the epoch, and write the receipt."""

    @activity.defn(name="record_failure")
    @abstractmethod
    async def record_failure(self, request: RecordFailure) -> None:
        """Show FAILED."""
