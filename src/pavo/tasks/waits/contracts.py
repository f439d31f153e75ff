"""What a run and its activities say of what it waits for: ids alone."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from temporalio import activity


@dataclass(frozen=True, slots=True)
class AnswerGate:
    """Argument of the update `answer_gate`: an answer that is kept, and what it answers."""

    gate_id: str
    answer_id: str


@dataclass(frozen=True, slots=True)
class RecordGate:
    """Close a gate with an answer."""

    task_id: str
    gate_id: str
    answer_id: str


@dataclass(frozen=True, slots=True)
class ExpireGates:
    """Close what is over."""

    task_id: str
    gates: list[str] = field(default_factory=list[str])
    """What the run waits for."""


@dataclass(frozen=True, slots=True)
class GatesExpired:
    """What is closed, and when the next one expires."""

    closed: list[str]
    """Of what the run waits for, all that is not open: also what an attempt at this had closed before it died."""
    wake_at: float | None = None


@dataclass(frozen=True, slots=True)
class BeginChildren:
    """Begin what the task has delegated, as far as it is not under way."""

    task_id: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The task's run is over, whatever became of it."""

    task_id: str


class FamilyActivities(ABC):
    """Begins delegated tasks, ends them, and tells the task that waits for one."""

    @activity.defn(name="begin_children")
    @abstractmethod
    async def begin_children(self, request: BeginChildren) -> None:
        """Start those that nobody has started, and go on with those that were stopped with their parent."""

    @activity.defn(name="run_ended")
    @abstractmethod
    async def run_ended(self, request: RunEnded) -> None:
        """Stop what the task has delegated and what still goes on, and tell whoever delegated this task."""
