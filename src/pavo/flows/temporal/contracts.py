"""What the workflow of a run and its activities say to each other: ids and numbers, never documents."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow

from pavo.flows.ledger.records import NOUN as NOUN
from pavo.runs.story import INFRASTRUCTURE

WORKFLOW_TYPE: Final = "FlowRun"
SIGNAL_LOOK: Final = "look"
"""Somebody has written of the run: it is looked at again."""
_PREFIX: Final = "flow:"

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
"""Of an attempt. A worker that is only slow is not to be taken for dead: people would be asked about what it does."""
STEP: Final = workflow.ActivityConfig(
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    schedule_to_close_timeout=timedelta(days=3650),
    retry_policy=INFRASTRUCTURE,
    cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
)
"""Attempts bound themselves in seconds, and write down what came of them. Another try follows only where a worker was
lost with one; the ledger knows whether it may do the step again."""


def start_id(run_id: str, epoch: int) -> str:
    """Of the workflow; a second start under it is refused by Temporal, so a start without a reply is repeated."""
    return f"{_PREFIX}{run_id}:{epoch}"


def run_of_workflow(workflow_id: str) -> str | None:
    """The run whose workflow this is; None for other workflows."""
    if not workflow_id.startswith(_PREFIX):
        return None
    return workflow_id.removeprefix(_PREFIX).partition(":")[0]


def epoch_of_workflow(workflow_id: str) -> int | None:
    """Under which epoch a run's workflow was started; None for other workflows."""
    epoch = workflow_id.removeprefix(_PREFIX).partition(":")[2]
    return int(epoch) if workflow_id.startswith(_PREFIX) and epoch.isdecimal() else None


@dataclass
class FlowState:
    """What a run of the workflow hands to its successor."""

    transition: int = 0


@dataclass
class FlowInput:
    """Which run, and under which epoch."""

    run_id: str
    epoch: int
    carry: FlowState | None = None


@dataclass(frozen=True)
class Advance:
    """Write what has happened and what follows."""

    run_id: str
    epoch: int
    holder: str
    """Id of the first run of the workflow."""
    rests: bool = False
    """Nothing begins: the workflow is to continue as new once what is in flight has ended."""


@dataclass(frozen=True)
class Doing:
    """One attempt at a step that is in flight by the ledger."""

    step: str
    item: int | None
    undoes: bool
    attempt: int

    @property
    def id(self) -> str:
        """Of its activity."""
        item = "" if self.item is None else f"/{self.item}"
        return f"{self.step}{item}{'/undo' if self.undoes else ''}#{self.attempt}"


@dataclass(frozen=True)
class Standing:
    """Where a run is."""

    holds: bool
    """Whether it is this workflow's."""
    outcome: str = ""
    """The run is over."""
    doing: Sequence[Doing] = field(default_factory=list[Doing])
    """All that is in flight, also what this workflow knows already."""
    wakes_in: float | None = None
    """Seconds until it has to be looked at; None: until something ends, or somebody says something."""


@dataclass(frozen=True)
class DoStep:
    """Make one attempt, and write down what came of it."""

    run_id: str
    epoch: int
    holder: str
    doing: Doing


class FlowTurns(ABC):
    """Short writes of the workflow of a run."""

    @activity.defn(name="advance_flow")
    @abstractmethod
    async def advance_flow(self, request: Advance) -> Standing:
        """One transaction. Done twice, the second one finds nothing to write and answers the same."""


class FlowSteps(ABC):
    """Attempts, which last as long as the step."""

    @activity.defn(name="do_flow_step")
    @abstractmethod
    async def do_flow_step(self, request: DoStep) -> None:
        """Answers nothing: what came of it is in the ledger. Heartbeats."""
