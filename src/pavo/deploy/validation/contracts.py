"""What the validation's workflows, activities and runner say to each other."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

WORKFLOW_TYPE: Final = "PavoValidation"
CHILD_TYPE: Final = "PavoValidationChild"

ACTIVITY: Final = "activity"
TIMER: Final = "durable timer"
CHILD: Final = "child workflow"
DATABASE: Final = "database operation"
RETRY: Final = "retry"
SIGNAL: Final = "signal"
QUERY: Final = "query"
UPDATE: Final = "update"
CONTINUE_AS_NEW: Final = "continue-as-new"
CHECKS: Final = (ACTIVITY, TIMER, CHILD, SIGNAL, QUERY, UPDATE, DATABASE, CONTINUE_AS_NEW, RETRY)
"""In the order in which people read them."""
ORDER: Final = (ACTIVITY, TIMER, CHILD, DATABASE, RETRY, CONTINUE_AS_NEW)
"""What the workflow does by itself, in its own order."""

REFUSED: Final = "Refused"
"""Type of the error with which the update's validator refuses a negative number."""
FAILS_FIRST: Final = "FailsFirst"
"""Type of the error that the retried activity raises on purpose."""

_QUICKLY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=20), backoff_coefficient=2.0, maximum_attempts=3)

QUICK: Final = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=3), schedule_to_close_timeout=timedelta(seconds=6), retry_policy=_QUICKLY
)
"""A healthy installation answers in milliseconds; beyond these seconds people want to know that it does not."""

TIMER_SECONDS: Final = timedelta(milliseconds=50)
CHILD_TIMEOUT: Final = timedelta(seconds=6)
HEARING_TIMEOUT: Final = timedelta(seconds=6)
"""For the runner's signal and update to arrive."""
HOLD_SECONDS: Final = timedelta(seconds=1)
"""The timer of a run that is left in flight: due while the servers are down, or soon after."""
EXECUTION_TIMEOUT: Final = timedelta(minutes=10)
"""After which Temporal itself ends a validation whose runner is gone."""
RELEASE_TIMEOUT: Final = timedelta(minutes=8)
"""For the runner to release a run that is left in flight, which it does within four; below `EXECUTION_TIMEOUT`."""


@dataclass(frozen=True, slots=True)
class Proven:
    """One thing that the workflow itself tried."""

    name: str
    seconds: float
    """By the clock of workflow tasks: from the task that began it to the task that saw its end."""
    cause: str | None = None
    """Why it did not work; None when it did."""


@dataclass(frozen=True, slots=True)
class ValidationInput:
    """Starts the validation, or continues it as new."""

    scratch_id: str
    """A UUID: of the row that the database operation writes, and takes away again."""
    hold: bool = False
    """Whether to stay in flight, behind a timer and a signal, before it ends."""
    proven: tuple[Proven, ...] = ()
    continued_at: float | None = None
    """When the run before ended, in seconds since 1970; None in the first run."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the whole chain of runs proved."""

    proven: tuple[Proven, ...]
    held: bool
    """Whether it was released after it had waited for its timer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Answer of the query `progress`."""

    done: tuple[str, ...]
    waiting: bool
    """Whether it is in flight on purpose."""


class ValidationActivities(ABC):
    """What the workflow lets its worker do."""

    @activity.defn(name="validation_echo")
    @abstractmethod
    async def echo(self, word: str) -> str:
        """Answer the word."""

    @activity.defn(name="validation_database")
    @abstractmethod
    async def write_and_read(self, scratch_id: str) -> int:
        """Commit events to a scratch timeline, read them on another connection, remove it; answers how many."""

    @activity.defn(name="validation_retry")
    @abstractmethod
    async def fail_first(self) -> int:
        """Fail at the first attempt; answers the attempt's number."""
