"""Wire shapes of published flows. They are read by clients too."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pavo.flows.checking.checked import Unchecked
from pavo.flows.definition.reading import MAX_BYTES
from pavo.kit.texts.fields import FilledText, Text

_IN = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_OUT = ConfigDict(from_attributes=True, use_attribute_docstrings=True)
MAX_REASON = 1_000
HASH = "^[0-9a-f]{64}$"


class FlowPublish(BaseModel):
    """A flow to be published."""

    model_config = _IN

    text: Text = Field(max_length=MAX_BYTES)
    """YAML or JSON, at most 1,000,000 bytes in UTF-8."""
    reason: Text = Field("", max_length=MAX_REASON)
    """For people: what has changed, and why."""
    accept: str | None = Field(None, pattern=HASH)
    """The hash that a person has accepted, as a check or a generator has shown it: a text that says something else is
    refused."""


class FlowRollback(BaseModel):
    """Why a version becomes the current one."""

    model_config = _IN

    reason: Text = Field("", max_length=MAX_REASON)


class FlowDeprecation(BaseModel):
    """Why no new run of a version is wanted."""

    model_config = _IN

    reason: FilledText = Field(max_length=MAX_REASON)
    """Told to whoever tries."""


class FlowVersionOut(BaseModel):
    """A published version of a flow; what it says never changes."""

    model_config = _OUT

    name: str
    number: int
    """From 1, without gaps."""
    hash: str
    """SHA-256 of what it says."""
    current: bool
    """Whether runs that name no version execute it."""
    published_at: datetime
    published_by: str | None
    """Address; null: somebody who is gone."""
    deprecated_at: datetime | None
    """Since then no new run of it begins."""
    deprecated_reason: str


class FlowVersionText(FlowVersionOut):
    """A version, with what it says."""

    definition: dict[str, Any]
    """The flow, with its steps in the order in which they were written."""


class PublishedOut(FlowVersionOut):
    """A version that was published."""

    is_new: bool
    """Whether this request has published it; false: it was published before."""
    unchecked: list[Unchecked]
    """Names in it that were not looked up, and why."""
    only_on_temporal: list[str]
    """Ids of the steps that are Temporal workflows of their own."""


class FlowReleaseOut(BaseModel):
    """A version was made the current one."""

    model_config = _OUT

    number: int
    at: datetime
    by: str | None
    """Address; null: somebody who is gone."""
    reason: str
    rolled_back: bool
    """Somebody went back, or on, to it; false: it was published."""


class ListedFlow(FlowVersionOut):
    """A flow, by its current version."""

    newest: int
    """Number of its newest version; another one than `number` where somebody has rolled back."""


class FlowOut(FlowVersionText):
    """A flow: its current version, and which were current before."""

    newest: int
    """Number of its newest version."""
    releases: list[FlowReleaseOut]
    """The newest first, at most 50."""


class FlowPage(BaseModel):
    """A page of flows, the one that was published last first."""

    items: list[ListedFlow]
    next_cursor: str | None


class FlowVersionPage(BaseModel):
    """Versions, the newest first."""

    model_config = _OUT

    items: list[FlowVersionOut]
    next: int | None
    """`before` of the next page; null: this is the last one."""


class ChangedPathOut(BaseModel):
    """A value that differs."""

    model_config = _OUT

    path: str
    """Such as `with.id` in a step, or `inputs.limit` in the flow."""
    before: str | None
    """JSON, at most 500 characters; null: it was not there."""
    after: str | None
    """Likewise; null: it is not there any more."""


class ChangedStepOut(BaseModel):
    """A step that both versions have."""

    model_config = _OUT

    step: str
    changes: list[ChangedPathOut]


class FlowDifferenceOut(BaseModel):
    """What differs between two versions."""

    model_config = _OUT

    added: list[str]
    """Ids of steps."""
    removed: list[str]
    changed: list[ChangedStepOut]
    flow: list[ChangedPathOut]
    """Outside of steps: inputs, result, limits, …"""
    moved: bool
    """Whether the steps that both have stand in another order."""
    text: str
    """A unified diff of YAML, a part for each step that differs."""
    cut: bool
    """Whether more differs than is told: at most 1,000 paths, and 200,000 characters of text."""
