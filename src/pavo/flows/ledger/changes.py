"""What is written of a run, change by change. Told to `progress.Progress` in the same order, they say where it is."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from pavo.flows.scheduler import Decision, Status, Work


@dataclass(frozen=True, slots=True)
class ResultKey:
    """What has a result: a step, an item of one, or what undoes it."""

    step: str
    item: int | None = None
    undoes: bool = False

    @property
    def work(self) -> Work:
        """For the scheduler."""
        return Work(self.step, self.item)

    def idempotency_key(self, run_id: uuid.UUID) -> str:
        """The same on both engines and in every attempt."""
        item = "" if self.item is None else f"/{self.item}"
        return f"{run_id}/{self.step}{item}{'/undo' if self.undoes else ''}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A step does not happen."""

    step: str
    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A step's expressions were evaluated."""

    step: str
    decision: Decision
    items: Sequence[Any] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CancelTold:
    """The run is to end; the engine has heard of it."""

    compensate: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """It is done from now on, by whoever wrote this: nobody else may."""

    key: ResultKey
    repeatable: bool
    """Whether it may be done again where it was interrupted."""
    timer: timedelta | datetime | None = None
    """It is nothing but a wait: so long from now, or until then."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it."""

    key: ResultKey
    status: Status
    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed, and another one follows."""

    key: ResultKey
    after: timedelta
    error: str


@dataclass(frozen=True, slots=True)
class Again:
    """The next attempt begins."""

    key: ResultKey


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Others do it: it ends when their work is over, whichever engine has the run then."""

    key: ResultKey
    kind: str
    """Of the work: task, job."""
    work_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether it happened cannot be told: people are asked."""

    key: ResultKey
    error: str


@dataclass(frozen=True, slots=True)
class LeftUnknown:
    """The run is cancelled, and nobody is asked any more: for the rest of it the step was cancelled."""

    key: ResultKey


@dataclass(frozen=True, slots=True)
class Overruled:
    """People say what has become of a step, in the place of what did."""

    step: str
    status: Status
    """Succeeded or skipped."""
    output: Any
    why: str
    who: str | None
    """Address; None: an operator."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """The run is over."""

    outcome: Status
    result: Any = None
    error: str | None = None


Change: TypeAlias = (
    Skipped | Decided | CancelTold | Began | Awaiting | Ended | Retrying | Again | Unknown | LeftUnknown | Concluded
)
Answer: TypeAlias = Literal["succeeded", "failed", "again"]
"""What people say of a step of which it is not known whether it happened."""
