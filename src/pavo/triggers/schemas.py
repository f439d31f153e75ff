"""Wire shapes of triggers."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from pavo.kit.texts.fields import FilledText, Text
from pavo.starts.schemas import Kind, StartsIn, State
from pavo.triggers.domain import MOST_PER_MINUTE, PER_MINUTE, Ending, Origin
from pavo.webhooks.schemas import WebhookRotate

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_OUT = ConfigDict(from_attributes=True, use_attribute_docstrings=True)
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
Name = Annotated[Text, StringConstraints(pattern=f"^{NAME}$", max_length=63)]


class EndOf(BaseModel):
    """Ends of tasks, jobs or runs of flows in the organisation."""

    model_config = _STRICT

    kind: Kind
    """Of what ends."""
    outcomes: list[Ending] = Field(default_factory=list[Ending], max_length=3)
    """Which ends; empty: all. A task that is stopped is cancelled."""
    flows: list[Text] = Field(default_factory=list[Text], max_length=50)
    """Of runs of flows: names; empty: all flows."""


class TriggerCreate(BaseModel):
    """A new trigger."""

    model_config = _STRICT

    name: Name
    """Letters, digits, `_`, `.` and `-`; no other one of the organisation has it."""
    starts: StartsIn
    """Texts in it may hold expressions, such as `${{ body.issue.title }}`; `${{ body }}` is the whole message."""
    when: EndOf | None = None
    """Which ends start it; null: signed messages do, sent to its address."""
    condition: FilledText | None = Field(None, max_length=1_100)
    """An expression, such as `${{ body.action == 'opened' }}`: where it is false nothing is started."""
    per_minute: StrictInt = Field(PER_MINUTE, ge=1, le=MOST_PER_MINUTE)
    """So many messages are taken; senders of more are told to come later."""
    organisation_id: uuid.UUID | None = None
    """Whose it is; null: of your home."""


class TriggerPause(BaseModel):
    """Why a trigger does not go on."""

    model_config = _STRICT

    reason: FilledText = Field(max_length=500)


class TriggerRotate(WebhookRotate):
    """How the secrets overlap."""


class TriggerPausedOut(BaseModel):
    """That a trigger does not go on."""

    model_config = _OUT

    at: datetime
    by: str | None
    """Whose doing, by address; null: Pavo's own, or they are gone."""
    reason: str


class EndOfOut(BaseModel):
    """Ends that start something."""

    model_config = _OUT

    kind: Kind
    outcomes: list[Ending]
    flows: list[str]


class TriggerOut(BaseModel):
    """A trigger."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    organisation_id: uuid.UUID
    name: str
    origin: Origin
    """webhook: signed messages; event: ends."""
    when: EndOfOut | None
    path: str | None
    """Where its messages are sent to, below the API's address; null: it is of events."""
    kind: Kind
    """Of what it starts."""
    body: dict[str, Any]
    """As one of these is created, with expressions."""
    condition: str | None
    per_minute: int
    paused: TriggerPausedOut | None
    failures: int
    """Firings in a row that failed."""
    secrets: int
    """Valid at the moment: two while a rotation's overlap lasts."""
    acts_for: str | None
    """Whose tasks, jobs and runs these are, by address; null: they are gone, and it cannot start anything."""
    created_at: datetime


class TriggerWithSecretOut(TriggerOut):
    """A trigger with its newest secret."""

    secret: str | None
    """Shown this once; null: it is of events, and has none."""


class TriggerList(BaseModel):
    """Triggers, by name."""

    items: list[TriggerOut]


class TriggerFiringOut(BaseModel):
    """A message or an end, and what became of it."""

    model_config = _OUT

    id: uuid.UUID
    delivery: str
    """Under which it counts once."""
    event: str
    """What it tells of, as its sender calls it; of ends: task.ended, job.ended, flow.ended."""
    cause_id: uuid.UUID | None
    """Of an end: what has ended."""
    depth: int
    """Its place in a chain of triggers that start one another; 0: no end has started it."""
    state: State
    kind: Kind | None
    subject_id: uuid.UUID | None
    """The task, job or run; null: none was made."""
    outcome: str | None
    """The stage in which that ended; null: it is open, or was not looked at since."""
    told: str
    """Why it was skipped or failed."""
    created_at: datetime
    started_at: datetime | None


class TriggerFiringPage(BaseModel):
    """A page of firings, newest first."""

    items: list[TriggerFiringOut]
    next_cursor: str | None


class TakenOut(BaseModel):
    """What a message has started, for its sender."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    """Of its firing."""
    state: State
    kind: Kind | None
    subject_id: uuid.UUID | None
    """The task, job or run; null: none was made yet."""
    repeated: StrictBool
    """Whether the message had come before."""
