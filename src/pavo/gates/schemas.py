"""Wire shapes of gates."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from pavo.gates.domain import MAX_NOTE, MAX_PAGE, TASK
from pavo.kit.texts.fields import Text

GateSort = Literal["opened", "-opened"]
GateStateName = Literal["open", "answered", "expired", "paused"]
GateKind = Literal["question", "effect", "approval", "budget", "plan"]


class GatesWanted(BaseModel):
    """Which gates a list holds, in which order, and which page of it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    state: GateStateName | None = None
    kind: GateKind | None = None
    organisation_id: uuid.UUID | None = None
    """Of this one of your organisations; default: of all."""
    task_id: uuid.UUID | None = None
    subject_id: uuid.UUID | None = None
    """Of this task or this job."""
    mine: bool = False
    """Those that you may answer: not what owners alone may where you are none."""
    created_by: Annotated[Text, Field(max_length=300)] | None = None
    """Of tasks and jobs that this user created: an id, an address, or `me`."""
    sort: GateSort = "opened"
    """`-opened` begins with the newest."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: str | None = None


class GateAnswerIn(BaseModel):
    """An answer to a gate."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    hash: Annotated[Text, Field(min_length=1, max_length=64)]
    """Of the gate as it was shown: an answer to something else is refused."""
    answer: Any
    """What fits the gate's `schema`."""
    note: Annotated[Text, Field(max_length=MAX_NOTE)] = ""
    """For those who look at it later. The agent gets it only where it denies a call or has a plan revised."""


class GateOut(BaseModel):
    """A durable wait for a person."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: uuid.UUID
    organisation_id: uuid.UUID
    """Whoever is a member then may answer, or, by `may_answer`, an owner."""
    subject_kind: str = TASK
    """What it is about: `task`, `job`."""
    subject_id: uuid.UUID
    task_id: uuid.UUID | None = None
    """Of the task, where it is about one."""
    kind: GateKind
    """effect: whether an unsafe call of a tool happened. approval: whether a call of a tool may begin. budget: what to
    do about one that does not suffice. plan: whether a job's plan is carried out; `revise` has another one made, by
    what the note says."""
    key: str
    """What the agent calls it; of an effect or an approval, the tool and its call."""
    text: str
    """What is asked."""
    hash: str
    """Of all that is shown here of the question; an answer names it."""
    answer_schema: Annotated[dict[str, Any], Field(validation_alias=AliasChoices("answer_schema", "schema"))]
    """JSON Schema of the answer."""
    choices: list[str]
    """What may be answered, where it is one of these."""
    state: GateStateName
    """paused: it is not asked at the moment: its task or job was stopped, failed, is done or went on without it."""
    answer: Any = None
    answered_by: str | None
    """The address of who answered, or `policy:default`."""
    note: str
    may_answer: Literal["member", "owner"] = "member"
    """Whose answer counts: any member's of the organisation, or an owner's alone."""
    opened_at: datetime
    expires_at: datetime | None
    """When it is answered by default, or by nobody."""
    has_default: bool
    default: Any = None
    """The answer once it has expired, where `has_default`; else there is none then."""
    answered_at: datetime | None


class GatePage(BaseModel):
    """A page of gates."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[GateOut]
    next_cursor: str | None
    total: int | None = None
    """On all pages."""
