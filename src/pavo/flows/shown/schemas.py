"""Wire shapes of runs. They are read by clients too."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from pavo.flows.definition.reading import MAX_BYTES
from pavo.kit.texts.fields import Text

_IN = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_OUT = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

Engine: TypeAlias = Literal["temporal", "local"]
RunState: TypeAlias = Literal["waiting", "running", "handing_over", "succeeded", "failed", "cancelled"]
StepState: TypeAlias = Literal[
    "waiting", "running", "awaiting", "timer", "retrying", "unknown", "succeeded", "failed", "skipped", "cancelled"
]
STATES: dict[str, Sequence[str]] = {
    "open": ("waiting", "running", "handing_over"),
    "over": ("succeeded", "failed", "cancelled"),
}
"""Names of several states."""


class FlowRunCreate(BaseModel):
    """A run of a published flow."""

    model_config = _IN

    inputs: dict[Text, Any] = Field(default_factory=dict[str, Any])
    """As the flow declares them."""
    version: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None
    """Number; null: the current one."""
    engine: Engine | None = None
    """Who executes it; null: as the deployment does."""


class FlowTextRun(BaseModel):
    """A run of a flow that nobody has published."""

    model_config = _IN

    text: Text = Field(max_length=MAX_BYTES)
    """The flow, YAML or JSON, at most 1,000,000 bytes in UTF-8."""
    inputs: dict[Text, Any] = Field(default_factory=dict[str, Any])
    engine: Engine | None = None


class FlowRunPause(BaseModel):
    """Why a run is paused."""

    model_config = _IN

    reason: Text = Field(default="", max_length=500)
    """For those who look at it."""


class FlowRunCancel(BaseModel):
    """How a run ends."""

    model_config = _IN

    compensate: StrictBool = False
    """Whether what succeeded is undone."""


class FlowRunAnswer(BaseModel):
    """What became of a step of which it is not known whether it happened."""

    model_config = _IN

    step: Text = Field(max_length=63)
    item: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None
    """Number in its list, from 0; null: the step as a whole."""
    undoes: StrictBool = False
    """Whether what undoes the step is meant."""
    said: Literal["succeeded", "failed", "again"]
    """again: it did not happen, and is to be done."""
    output: Any = None
    """What it gave, where it succeeded."""


class ListedFlowRun(BaseModel):
    """A run of a flow, without its steps."""

    model_config = _OUT

    id: uuid.UUID
    organisation_id: uuid.UUID
    flow: str
    version: int | None
    """Number; null: nobody has published what it executes."""
    hash: str
    """Of the version that it executes to its end."""
    engine: Engine
    state: RunState
    fallback: bool
    """Whether it began on the local engine because Temporal was away."""
    cancel_asked: bool
    paused_at: datetime | None
    """Since then nothing begins; null: it is not paused."""
    paused_reason: str | None
    asked: int
    """Steps of which people are asked what became of them."""
    created_at: datetime
    created_by: str | None
    """Address; null: somebody who is gone, or a command on the deployment's own machine."""
    ended_at: datetime | None
    error: str | None
    parent_id: uuid.UUID | None
    """The run of which this one is a step; null: it stands alone."""
    parent_step: str | None
    parent_item: int | None
    """Number in the step's list, from 0; null: the step as a whole."""


class FlowStepOut(BaseModel):
    """A step, an item of one, or what undoes it."""

    model_config = _OUT

    step: str
    kind: str
    """tool, agent, job, flow, gate, sleep, until, branch, python, http or wait_for."""
    state: StepState
    """awaiting: a task, a job, another run or an answer is awaited; timer: it waits for a moment; retrying: for its
    next attempt; unknown: people are asked whether it happened."""
    item: int | None
    """Number in its list, from 0; null: the step as a whole."""
    undoes: bool
    """Whether it undoes the step."""
    attempt: int | None
    """Null: it has not begun, or has items."""
    output: Any
    output_left_out: bool
    """Whether it has one that is too long to be shown among the others."""
    error: str | None
    """Why it failed, or was skipped."""
    begun_at: datetime | None
    ended_at: datetime | None
    due_seconds: float | None
    """Until its timer or its next attempt."""
    items: dict[str, int] | None
    """Of a step that is done for each of a list: how many items are in which state."""
    work_kind: Literal["task", "job", "run", "gate"] | None
    """What it has others do."""
    work_id: uuid.UUID | None
    """Its id."""


class FlowRunOut(ListedFlowRun):
    """A run of a flow."""

    inputs: dict[str, Any]
    """What it was given, without defaults."""
    result: Any
    """What it gave; null before that."""
    steps: list[FlowStepOut]
    """Each behind what it needs, then its items; at the end what was undone."""
    whole: bool
    """Whether all items and all outputs are shown: at most 100 items of a step, those that have not succeeded first,
    and 1,000,000 bytes of outputs."""


class FlowRunPage(BaseModel):
    """A page of runs, the newest first."""

    items: list[ListedFlowRun]
    next_cursor: str | None
