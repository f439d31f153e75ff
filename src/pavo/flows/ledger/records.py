"""What the ledger tells of a run."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pavo.errors import LeaseLost
from pavo.flows.ledger.changes import Change, Overruled, ResultKey

NOUN: Final = "flow_run"
"""What a run is called among the kinds of durable work."""
TEMPORAL: Final = "temporal"
LOCAL: Final = "local"
WAITING: Final = "waiting"
RUNNING: Final = "running"
HANDING_OVER: Final = "handing_over"
OVER: Final = ("succeeded", "failed", "cancelled")


class OutOfStep(LeaseLost):
    """The run was written by somebody else, or by a commit whose reply was lost: read it again."""

    title = "The run has moved on"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a flow says, as it is kept: checked before."""

    name: str
    hash: str
    text: str
    """JSON, with its steps in their order."""


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """A published version."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    name: str
    number: int
    hash: str
    published_at: datetime
    published_by: str | None
    """Address of who published it; None: somebody who is gone."""
    deprecated_at: datetime | None
    deprecated_reason: str
    current: bool
    """Whether it is the one that runs execute that name none."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version was made the current one."""

    number: int
    at: datetime
    by: str | None
    """Address; None: somebody who is gone."""
    reason: str
    rolled_back: bool


@dataclass(frozen=True, slots=True)
class PublishedFlow:
    """A flow by its name, as lists show it."""

    current: FlowVersion
    newest: int
    """Number of its newest version."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to execute a run. Every write of an engine is held against it."""

    run_id: uuid.UUID
    engine: str
    epoch: int
    holder: str


@dataclass(frozen=True, slots=True)
class Parent:
    """Of which run a run is a step."""

    run_id: uuid.UUID
    step: str
    item: int | None
    """None: the step as a whole."""
    depth: int
    """Of the child: so many runs are above it."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, as its row has it."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    flow: str
    hash: str
    engine: str
    epoch: int
    state: str
    seq: int
    holder: str | None
    inputs: Mapping[str, Any]
    created_at: datetime
    seconds_left: float
    """Until the limit of its flow."""
    wakes_in: float
    """Seconds until there is something to do; infinity: until somebody says something."""
    cancel_asked: bool
    cancel_compensates: bool
    program: str | None
    """That alone executes it; None: the workers do."""
    fallback: bool
    paused_at: datetime | None
    paused_reason: str | None
    ended_at: datetime | None
    result: Any
    error: str | None

    @property
    def is_paused(self) -> bool:
        """Whether nothing begins for somebody has paused it; one that is cancelled comes to its end."""
        return self.paused_at is not None and not self.cancel_asked and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """What has begun, as its row has it."""

    key: ResultKey
    state: str
    attempt: int
    epoch: int
    repeatable: bool
    due_seconds: float | None
    """From now; 0: it is due."""
    output: Any
    error: str | None
    begun_at: datetime
    ended_at: datetime | None
    work_kind: str | None = None
    """Of what it has others do: task, job, run, gate."""
    work_id: uuid.UUID | None = None

    @property
    def is_asked(self) -> bool:
        """Whether people are asked what became of it."""
        return self.state == "unknown" and self.ended_at is None


@dataclass(frozen=True, slots=True)
class History:
    """All that was written of a run."""

    run: RunRecord
    definition: str
    """JSON."""
    changes: Sequence[Change | Overruled]
    """In order, those that say where it is."""
    results: Mapping[ResultKey, ResultRecord]
