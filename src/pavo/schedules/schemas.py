"""Wire shapes of schedules."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from pavo.kit.texts.fields import FilledText, Text
from pavo.schedules.domain import Overlap, Which
from pavo.schedules.times.spec import Length, TimesSpec
from pavo.starts.schemas import Kind, StartsIn, State

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_OUT = ConfigDict(from_attributes=True, use_attribute_docstrings=True)
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
Name = Annotated[Text, StringConstraints(pattern=f"^{NAME}$", max_length=63)]


class ScheduleCreate(BaseModel):
    """A new schedule."""

    model_config = _STRICT

    name: Name
    """Letters, digits, `_`, `.` and `-`; no other one of the organisation has it."""
    starts: StartsIn
    times: TimesSpec
    overlap: Overlap = "SKIP"
    """While what it started before is open: SKIP leaves a time out; BUFFER_ONE has one wait, BUFFER_ALL each;
    CANCEL_OTHER stops the former and then starts; TERMINATE_OTHER does not wait for its end; ALLOW_ALL starts all."""
    catch_up: Length = Field(default_factory=lambda: timedelta(hours=1))
    """What could not start in time, because Pavo was away, starts later by so much at most; 1h if nothing is said."""
    paused: FilledText | None = Field(None, max_length=500)
    """Why it does not go on yet; null: it goes on."""
    organisation_id: uuid.UUID | None = None
    """Whose it is; null: of your home."""


class ScheduleEdit(BaseModel):
    """What is to be changed of a schedule; what is left out stays. From then on it acts for you."""

    model_config = _STRICT

    name: Name | None = None
    starts: StartsIn | None = None
    times: TimesSpec | None = None
    overlap: Overlap | None = None
    catch_up: Length | None = None
    version: StrictInt | None = Field(None, ge=1)
    """That is changed; where another one is current, nothing is."""


class PauseIn(BaseModel):
    """Why a schedule does not go on."""

    model_config = _STRICT

    reason: FilledText = Field(max_length=500)


class TriggerIn(BaseModel):
    """A start at once."""

    model_config = _STRICT

    overlap: Overlap | None = None
    """For this time; null: as the schedule has it."""


class BackfillIn(BaseModel):
    """Times of the past that are to start now."""

    model_config = _STRICT

    since: FilledText = Field(max_length=40)
    """From when on: 2026-11-26T08:00:00Z, or how long ago: 24h, 7d."""
    until: FilledText | None = Field(None, max_length=40)
    """Until when, likewise; null: now."""
    which: Which = "missing"
    """missing: those at which nothing was started; failed: those whose start or work failed; all."""
    overlap: Overlap = "BUFFER_ALL"
    """For these times: one after the other, if nothing else is said."""
    hash: Text | None = Field(None, min_length=1, max_length=64)
    """Of the dates that were shown. Null: they are shown, and nothing starts."""


class PreviewIn(BaseModel):
    """Times that are not a schedule's yet."""

    model_config = _STRICT

    times: TimesSpec
    after: AwareDatetime | None = None
    """Null: now."""
    count: StrictInt = Field(10, ge=1, le=100)


class PreviewOut(BaseModel):
    """When it would be."""

    model_config = _OUT

    times: list[datetime]
    """In UTC, without jitter."""


class BackfillOut(BaseModel):
    """Exactly the times that a back-fill starts, or would start."""

    model_config = _OUT

    since: datetime
    until: datetime
    """What was asked for, in moments: to be sent with the hash."""
    times: list[datetime]
    hash: str
    """To be sent with the same request: then they start."""
    written: bool
    """Whether they are to start; false: they were only shown."""


class PausedOut(BaseModel):
    """That a schedule does not go on."""

    model_config = _OUT

    at: datetime
    by: str | None
    """Whose doing, by address; null: they are gone."""
    reason: str


class FiringOut(BaseModel):
    """One time of a schedule, and what became of it."""

    model_config = _OUT

    id: uuid.UUID
    nominal_at: datetime
    """The time that the schedule says, without jitter."""
    reason: str
    """schedule, catch_up, trigger or backfill."""
    state: State
    attempt: int
    kind: Kind | None
    subject_id: uuid.UUID | None
    """The task, job or run; null: none was made."""
    outcome: str | None
    """The stage in which that ended; null: it is open, or was not looked at since."""
    told: str
    """Why it was skipped, failed, or waits."""
    started_at: datetime | None


class FiringPage(BaseModel):
    """A page of firings, newest first."""

    items: list[FiringOut]
    next_cursor: str | None


class ScheduleOut(BaseModel):
    """A schedule."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    organisation_id: uuid.UUID
    name: str
    version: int
    kind: Kind
    """Of what it starts."""
    body: dict[str, Any]
    """As one of these is created."""
    times: TimesSpec
    overlap: Overlap
    catch_up: Length
    paused: PausedOut | None
    acts_for: str | None
    """Whose tasks and jobs these are, by address; null: they are gone, and it cannot start anything."""
    in_step: StrictBool
    """Whether Temporal has this version already; if not, that is made up for within a minute."""
    missed: int
    """Times that nothing started at, and that were too long ago to be caught up."""
    next: list[datetime]
    """Its next times, as if it were not paused: ten, in lists one; without jitter."""
    created_at: datetime
    changed_at: datetime


class ScheduleList(BaseModel):
    """Schedules, by name."""

    items: list[ScheduleOut]
