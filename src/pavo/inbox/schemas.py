"""Wire shapes of the inbox."""

import uuid
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pavo.gates.domain import TASK
from pavo.kit.texts.fields import Text

Kind: TypeAlias = Literal["question", "approval", "plan", "review", "failure"]
Sort: TypeAlias = Literal["since", "-since"]
MAX_PAGE: Final = 200


class InboxWanted(BaseModel):
    """Which of what waits a list holds, in which order, and which page of it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: Kind | None = None
    organisation_id: uuid.UUID | None = None
    """Of this one of your organisations; default: of all."""
    task_id: uuid.UUID | None = None
    subject_id: uuid.UUID | None = None
    """Of this task or this job."""
    mine: bool = False
    """What you may answer: not what owners alone may where you are none."""
    created_by: Annotated[Text, Field(max_length=300)] | None = None
    """Of tasks and jobs that this user created: an id, an address, or `me`."""
    sort: Sort = "since"
    """`-since` begins with the newest."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: str | None = None


class InboxItem(BaseModel):
    """One thing that waits for a person."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: uuid.UUID
    """Of the gate; of the task or the job, where a task's plan or a failure waits."""
    kind: str
    """`question`, `approval` of a call of a tool, and `plan` of a job: answer its gate. `review`: answer the task's
    plan. `failure`: look at it, and resume or delete the task; queue the job again, or remove it."""
    organisation_id: uuid.UUID
    subject_kind: str = TASK
    """What it is about: `task`, `job`."""
    subject_id: uuid.UUID
    task_id: uuid.UUID | None = None
    """The task, where it is about one."""
    title: str
    """Of the task or the job."""
    agent_type: str
    """Of a job, its coding program."""
    created_by: uuid.UUID | None
    """None: they are no user any more."""
    since: datetime
    """How long it waits."""
    text: str
    """The beginning of what is asked, of a job's plan, or of what went wrong; empty for a task's plan."""
    key: str | None
    """What the agent calls the question; of an approval, the tool and its call."""
    hash: str | None
    """Of the gate or of the plan: an answer names it."""
    may_answer: Literal["member", "owner"] = "member"
    """Whose answer counts: any member's of the organisation, or an owner's alone."""
    expires_at: datetime | None
    """When the question is answered by default, or by nobody."""
    document_id: uuid.UUID | None
    version: int | None
    """Of the plan."""


class InboxOut(BaseModel):
    """A page of the inbox."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[InboxItem]
    next_cursor: str | None
    total: int
    """On all pages."""
