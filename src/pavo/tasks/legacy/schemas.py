"""The wire of the existing frontends' contract."""

import uuid

from pydantic import BaseModel, ConfigDict, Field

from pavo.tasks.schemas import MAX_FEEDBACK, MAX_MESSAGE, MAX_TITLE, FilledText, Text


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore")


class LegacyCreate(_In):
    """A title and an agent."""

    title: FilledText = Field(min_length=1, max_length=MAX_TITLE)
    agent_type: Text = Field(default="intern", max_length=100)


class LegacyBody(_In):
    """A comment."""

    body: FilledText = Field(min_length=1, max_length=MAX_FEEDBACK)


class LegacyMessage(_In):
    """What somebody says to the task."""

    text: Text | None = Field(default=None, max_length=MAX_MESSAGE)


class LegacyAction(_In):
    """What to do with a document."""

    action: Text = Field(max_length=100)


class LegacyTask(BaseModel):
    """A task in a list."""

    id: uuid.UUID
    title: str
    agent_type: str
    stage: str
    stage_status: str


class LegacyMe(BaseModel):
    """Who I am, if anybody, and my newest tasks."""

    user_id: uuid.UUID | None
    email: str | None
    tasks: list[LegacyTask]


class LegacyCreated(BaseModel):
    """A new task."""

    task_id: uuid.UUID
    workflow_id: str


class LegacyStarted(BaseModel):
    """What a message did: one of the two is there, and true."""

    workflow_id: str
    started: bool = True
    already_running: bool = True


class LegacyFeedback(BaseModel):
    """A new comment."""

    feedback_id: uuid.UUID


class LegacyOk(BaseModel):
    """It is done."""

    ok: bool = True


class LegacyStatus(BaseModel):
    """Where a task stands."""

    task_id: uuid.UUID
    stage: str
    stage_status: str
