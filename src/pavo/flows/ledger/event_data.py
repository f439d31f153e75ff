"""What each event of a run says: `ledger.events` writes these, and `requests.event_schemas` describes them to clients.

Events are kept: a member may be added where it need not be there, none is ever taken away. They hold no inputs and no
outputs, which the run itself shows.
"""

from typing import Final, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

_described: Final = with_config(ConfigDict(use_attribute_docstrings=True))
EngineName: TypeAlias = Literal["temporal", "local"]
EndName: TypeAlias = Literal["succeeded", "failed", "cancelled"]


@_described
class FlowRunStartedEvent(TypedDict):
    """The run was written down; an engine begins it."""

    type: Literal["run_started"]
    flow: str
    hash: str
    """Of the version that it executes to its end."""
    engine: EngineName
    fallback: NotRequired[bool]
    """Whether it began on the local engine because Temporal was away."""
    parent: NotRequired[str]
    """The run of which it is a step."""
    parent_step: NotRequired[str]
    parent_item: NotRequired[int]


@_described
class FlowRunMovedEvent(TypedDict):
    """Another engine executes the run from now on."""

    type: Literal["run_moved"]
    engine: EngineName
    epoch: int


@_described
class FlowRunCancelAskedEvent(TypedDict):
    """Somebody cancelled the run."""

    type: Literal["cancel_asked"]
    compensate: bool
    """Whether what succeeded is to be undone."""
    by: NotRequired[str]


@_described
class FlowRunCancellingEvent(TypedDict):
    """The run is being cancelled: its engine has heard that somebody asked, or its time is over."""

    type: Literal["run_cancelling"]
    compensate: bool
    why: NotRequired[str]


@_described
class FlowRunPausedEvent(TypedDict):
    """Somebody paused the run: nothing begins any more, what is in flight comes to its end."""

    type: Literal["run_paused"]
    reason: NotRequired[str]
    by: NotRequired[str]


@_described
class FlowRunResumedEvent(TypedDict):
    """Somebody had the run go on."""

    type: Literal["run_resumed"]
    by: NotRequired[str]


@_described
class FlowRunReopenedEvent(TypedDict):
    """The run had failed, and somebody had it go on."""

    type: Literal["run_reopened"]
    steps: dict[str, Literal["retry", "skip", "set"]]
    """What becomes of which: done again, skipped, or given an output."""
    forgotten: int
    """How many steps count no more, and are done anew: these, what comes after them, what was given up."""
    reason: NotRequired[str]
    by: NotRequired[str]


@_described
class FlowStepSkippedEvent(TypedDict):
    """A step does not happen."""

    type: Literal["step_skipped"]
    step: str
    why: str


@_described
class FlowStepDecidedEvent(TypedDict):
    """The expressions of a step were evaluated: its condition, its branch, its list."""

    type: Literal["step_decided"]
    step: str
    condition: NotRequired[bool]
    chosen: NotRequired[list[str]]
    """Ids of the steps that a branch goes to."""
    items: NotRequired[int]
    """How long its list is."""
    error: NotRequired[str]


@_described
class FlowStepStartedEvent(TypedDict):
    """A step began, or an item of one, or what undoes it."""

    type: Literal["step_started"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    again: NotRequired[bool]
    """Whether it was begun before: this is a further attempt."""


@_described
class FlowStepWaitsEvent(TypedDict):
    """Others do it: a task, a coding job, another run, or whoever answers a gate; it ends when that is over."""

    type: Literal["step_waits"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    task: NotRequired[str]
    job: NotRequired[str]
    gate: NotRequired[str]
    run: NotRequired[str]


@_described
class FlowStepRetryingEvent(TypedDict):
    """An attempt failed, and another one follows."""

    type: Literal["step_retrying"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    after_seconds: float
    error: str


@_described
class FlowStepUnknownEvent(TypedDict):
    """Whether it happened cannot be told: people are asked."""

    type: Literal["step_unknown"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    error: str


@_described
class FlowStepAnsweredEvent(TypedDict):
    """Somebody said what became of a step of which it was not known."""

    type: Literal["step_answered"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    said: Literal["succeeded", "failed", "again"]


@_described
class FlowStepEndedEvent(TypedDict):
    """What came of it. Its output is shown by the run."""

    type: Literal["step_ended"]
    step: str
    item: NotRequired[int]
    undoes: NotRequired[bool]
    status: Literal["succeeded", "failed", "skipped", "cancelled", "unknown"]
    """unknown: nobody has said what became of it, and the run ends without."""
    error: NotRequired[str]


@_described
class FlowRunEndedEvent(TypedDict):
    """The run is over."""

    type: Literal["run_ended"]
    outcome: EndName
    error: NotRequired[str]


@_described
class FlowRunDeletedEvent(TypedDict):
    """The run is gone; nothing follows."""

    type: Literal["deleted"]


FlowRunEvents: TypeAlias = (
    FlowRunStartedEvent
    | FlowRunMovedEvent
    | FlowRunCancelAskedEvent
    | FlowRunCancellingEvent
    | FlowRunPausedEvent
    | FlowRunResumedEvent
    | FlowRunReopenedEvent
    | FlowStepSkippedEvent
    | FlowStepDecidedEvent
    | FlowStepStartedEvent
    | FlowStepWaitsEvent
    | FlowStepRetryingEvent
    | FlowStepUnknownEvent
    | FlowStepAnsweredEvent
    | FlowStepEndedEvent
    | FlowRunEndedEvent
    | FlowRunDeletedEvent
)
