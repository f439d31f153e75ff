"""Wire shapes of an organisation's queue."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pavo.jobs.domain import MAX_AT_ONCE
from pavo.jobs.requests.schemas import JobStageName
from pavo.jobs.requests.spending_schemas import JobBudgetOut


class ReasonOut(BaseModel):
    """Why a job waits."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    """paused, no_agents, no_match, not_connected, at_limit, agents_busy or turn."""
    text: str
    """For people, with the remedy where there is one."""


class ExecutingJobOut(BaseModel):
    """A job in progress."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    title: str
    kind: str
    stage: JobStageName
    epoch: int
    attempts: int
    agent: str | None
    since: datetime | None
    """When its agent was given it."""
    heard_at: datetime
    """When a log line, a stage or a result came last."""
    pull_request_url: str | None
    workflow_id: str | None
    budgets: list[JobBudgetOut]
    """Its own."""
    link: str
    """Where the API has it."""


class QueuedJobOut(BaseModel):
    """A job that waits."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    position: int
    """From 1."""
    id: uuid.UUID
    title: str
    kind: str
    priority: int
    attempts: int
    max_attempts: int
    labels: list[str]
    program: str
    queued_at: datetime
    budgets: list[JobBudgetOut]
    """Its own."""
    why: ReasonOut


class QueueOut(BaseModel):
    """An organisation's queue."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    paused: bool
    paused_at: datetime | None
    at_once: int
    """Jobs that are done at the same time."""
    executing: list[ExecutingJobOut]
    queued: list[QueuedJobOut]
    """In order; one page of them."""
    counts: dict[str, int]
    """Jobs in each stage."""
    agents: int
    """That serve the organisation."""
    connected: int
    """Of these."""


class QueueEdit(BaseModel):
    """What is set of a queue."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    at_once: StrictInt = Field(ge=1, le=MAX_AT_ONCE)
    """Jobs that are done at the same time; those in progress go on."""


class PlaceOut(BaseModel):
    """Where a job is in its queue after it was moved."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    position: int
    """From 1."""
    priority: int
