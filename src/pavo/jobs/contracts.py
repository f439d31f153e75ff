"""What the workflows of jobs and their activities say to each other: ids and numbers, never documents."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

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
KEEP_LATE_WORK: Final = "keep_late_work"
"""Of a lost attempt, by the gateway of its agent: no workflow waits for it."""

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

UNABLE: Final = frozenset({"Draining", "NoCapacity", "NoSpace"})
"""Types of errors that tell of the agent and not of the job: another agent may do it, or this one later."""
REST_SECONDS: Final = 60.0
"""So long an agent that answered so is given no job."""

MAX_AGENT_ERRORS: Final = 5
"""Errors that an agent returned for one command, which the workflow counts: 1 s, ×2, at most 30 s between them."""


REACH_SECONDS: Final = 10.0
"""So long an attempt that ends tries to reach its agent: one that is away owes the cleaning up, and delays nobody."""
KILL_SECONDS: Final = 30.0
"""So long an agent that was told to cancel may take to end what runs there."""
CANCEL_COMMAND: Final = workflow.ActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=REACH_SECONDS), retry_policy=RetryPolicy(maximum_attempts=1)
)
CLEANUP_COMMAND: Final = workflow.ActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=REACH_SECONDS),
    heartbeat_timeout=timedelta(seconds=REACH_SECONDS),
    retry_policy=RetryPolicy(maximum_attempts=1),
    cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
)
"""What takes longer goes on at the agent, whose late result pays the debt."""

OUTCOME_DONE: Final = "done"
OUTCOME_FAILED: Final = "failed"
OUTCOME_CANCELLED: Final = "cancelled"

ENDED_DONE: Final = "done"
ENDED_FAILED: Final = "failed"
ENDED_CANCELLED: Final = "cancelled"
ENDED_LOST: Final = "lost"

NO_CHANGES: Final = "no_changes"
"""Outcome of a job whose execution left no difference: no pull request."""
PUBLISHED: Final = "published"
PUSHED: Final = "pushed"
"""There is no forge: the branch is there, and no pull request."""


def command_id(job_id: str, epoch: int, kind: str, round_: int, attempt: int = 0) -> str:
    """The same for the same command, whoever asks and however often.

    Args:
        attempt: grows when the agent answered with an error and is to carry it out once more: then it is another one.
    """
    again = f":{attempt}" if attempt else ""
    return str(uuid.uuid5(uuid.UUID(job_id), f"{epoch}:{kind}:{round_}{again}"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt has to do, as the row says when it begins."""

    holds: bool
    review_plan: bool = False
    """Whether people want to see the agent's plan first, and have accepted none for this yet."""
    verify: bool = False
    verify_rounds: int = 0
    heartbeat_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """By kind of command: how long an agent may say nothing about it; what is not there has `HEARTBEAT`."""


@dataclass(slots=True)
class JobState:
    """Where an attempt stands: all that a run hands to its successor. Ids and numbers."""

    transition: int = 0
    phase: str = ""
    """Empty: it has not begun; then planning, executing, verifying, publishing."""
    plan: Plan | None = None
    round: int = 0
    """How often a failed verification went back to the agent."""
    plan_round: int = 0
    """How often comments on its plan did."""
    gate: str | None = None
    """Over the plan that is being reviewed."""
    attempt: int = 0
    """Errors that the agent returned for the command that is under way."""
    sent: bool = False
    """Whether any command may have reached the agent."""
    how: str = ""
    """How it ends, once that is certain."""
    error: str = ""
    command_id: str = ""
    """Whose result tells why it failed."""
    outcome: str = ""
    doubted: bool = False
    """Somebody says that the lease ran out, and that was not looked up yet."""


@dataclass(frozen=True, slots=True)
class JobInput:
    """Starts the workflow of one attempt."""

    job_id: str
    epoch: int
    carry: JobState | None = None
    """Of the run before, where this one continues it."""


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Have the attempt's agent carry out a command; its document is made from the rows."""

    job_id: str
    epoch: int
    kind: str
    round: int = 0
    attempt: int = 0
    """How often the agent has answered this with an error that may pass: with each it is another command."""

    @property
    def command_id(self) -> str:
        """Of this command."""
        return command_id(self.job_id, self.epoch, self.kind, self.round, self.attempt)


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
    killed: int = 0
    """Of what was cancelled: processes that were ended."""


class CommandActivities(ABC):
    """Carried out by the gateway that holds the agent's stream, on the agent's own task queue."""

    @activity.defn(name="run_agent_command")
    @abstractmethod
    async def run_agent_command(self, request: RunCommand) -> CommandOutcome:
        """Send the command, and wait for its result, however long; heartbeats tell that the agent works at it.

        Where this activity is cancelled, the workflow waits for it no more: the gateway lets go, and the agent works
        on. The same command may be asked for again at once, here or at another gateway, by another run of the
        workflow; it answers with the same result. `cancel_agent_job` alone ends what the agent does.

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
    """Whether the attempt still holds the job: no other was begun, and it was not ended."""
    cancel_asked: bool = False
    expired: bool = False
    """Whether its lease ran out, so that others may take the job."""
    stuck: bool = False
    """Whether nothing came of it for too long, though its agent is there."""


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
