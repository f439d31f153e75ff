"""What the workflows of jobs and their activities say to each other: ids and numbers, never documents."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from pavo.runs.fence import Fence

WORKFLOW_TYPE: Final = "CodingJob"
QUEUE_TYPE: Final = "QueueMonitor"
PING_TYPE: Final = "PingAgent"

SIGNAL_CANCEL: Final = "cancel"
SIGNAL_AGENT_CONNECTED: Final = "agent_connected"
"""To the workflow of a job: its agent has a session again; a hint, a timer comes too."""
SIGNAL_LEASE_LOST: Final = "lease_lost"
SIGNAL_LOOK: Final = "look"
"""To the monitor of a queue: something has changed."""

MAKE_PLAN: Final = "make_plan"
START_EXECUTION: Final = "start_execution"
RUN_VERIFICATION: Final = "run_verification"
CREATE_PULL_REQUEST: Final = "create_pull_request"
CLEANUP: Final = "cleanup"

SESSION_LOST: Final = "SessionLost"
"""Type of the error of a command whose agent's stream ended, or whose gateway died: it is sent anew, with the same id,
wherever the agent is then."""
LEASE_LOST: Final = "LeaseLost"
"""Type of the error of a command whose attempt does not hold the job any more."""

HEARTBEAT: Final = timedelta(minutes=5)
"""How long an agent may say nothing about a command that it carries out."""
AGENT_COMMAND: Final = workflow.ActivityConfig(
    heartbeat_timeout=HEARTBEAT,
    schedule_to_start_timeout=timedelta(seconds=10),
    start_to_close_timeout=timedelta(days=7),
    retry_policy=RetryPolicy(maximum_attempts=1),
    cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
)
"""One try to have a command carried out on one session: the workflow reads the agent's queue before each. Whoever finds
nobody on that queue for ten seconds reads it again."""

MAX_AGENT_ERRORS: Final = 5
"""Errors that an agent returned for one command, which the workflow counts: 1 s, ×2, at most 30 s between them."""


def command_id(job_id: str, epoch: int, kind: str, round_: int) -> str:
    """The same for the same command, whoever asks and however often."""
    return str(uuid.uuid5(uuid.UUID(job_id), f"{epoch}:{kind}:{round_}"))


@dataclass(frozen=True, slots=True)
class JobInput:
    """Starts the workflow of one attempt."""

    job_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Have the attempt's agent carry out a command; its document is made from the rows."""

    job_id: str
    epoch: int
    kind: str
    round: int = 0

    @property
    def command_id(self) -> str:
        """Of this command."""
        return command_id(self.job_id, self.epoch, self.kind, self.round)


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended. Its whole result is in `job_commands`."""

    kind: str
    """done, failed or cancelled."""
    error: str = ""
    """Type of what failed; cause and remedy are in the row."""
    retryable: bool = False
    changed: bool = False
    """Of `start_execution`: whether there is a difference."""
    passed: bool = False
    """Of `run_verification`: whether every check passed."""


class CommandActivities(ABC):
    """Carried out by the gateway that holds the agent's stream, on the agent's own task queue."""

    @activity.defn(name="run_agent_command")
    @abstractmethod
    async def run_agent_command(self, request: RunCommand) -> CommandOutcome:
        """Send the command, and wait for its result, however long; heartbeats tell that the agent works at it.

        Raises:
            ApplicationError: SESSION_LOST, LEASE_LOST.
        """

    @activity.defn(name="cancel_agent_job")
    @abstractmethod
    async def cancel_agent_job(self, request: JobInput) -> None:
        """Have the agent end what it does for this attempt; the pending command answers with `cancelled`."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Greet an agent through the stream that carries its commands."""

    agent_id: str
    session: int


class PingActivities(ABC):
    """By the gateway that holds the stream."""

    @activity.defn(name="ping_agent")
    @abstractmethod
    async def ping_agent(self, request: Ping) -> float:
        """Seconds until it answered.

        Raises:
            ApplicationError: it did not within 5 s, or the session is not here.
        """


@dataclass(frozen=True, slots=True)
class Route:
    """Where the commands of an attempt are taken."""

    queue: str | None
    """None: its agent has no stream at this moment."""
    holds: bool
    """Whether the attempt still holds the job."""
    cancel_asked: bool = False


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """The workflow is there: the row says so."""

    job_id: str
    epoch: int
    fence: Fence


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt has to do, as the row says when it begins."""

    holds: bool
    review_plan: bool = False
    verify: bool = False
    verify_rounds: int = 0


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


@dataclass(frozen=True, slots=True)
class JobStep:
    """The plan of an attempt is opened for review, or asked for."""

    job_id: str
    epoch: int
    fence: Fence


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


@dataclass(frozen=True, slots=True)
class TakeJobs:
    """Give queued jobs to free agents."""

    organisation_id: str | None
    """None: the agents of all, to whoever waits longest."""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that was just claimed."""

    job_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What `take_jobs` claimed; empty: nothing to do for now."""

    jobs: Sequence[Claimed] = field(default_factory=list[Claimed])
    more: bool = False
    """Whether another round may find something."""


class QueueActivities(ABC):
    """Short writes of a queue's monitor."""

    @activity.defn(name="take_jobs")
    @abstractmethod
    async def take_jobs(self, request: TakeJobs) -> Taken:
        """Claim: each one statement."""


@dataclass(frozen=True, slots=True)
class PingRecorded:
    """What a ping told."""

    agent_id: str
    session: int
    failed: bool


class HealthActivities(ABC):
    """Short writes of the agents' health."""

    @activity.defn(name="record_agent_ping")
    @abstractmethod
    async def record_ping(self, request: PingRecorded) -> bool:
        """Whether the agent counts as online; three failures in a row mean that it does not."""
