"""Wire shapes of jobs."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from pavo.jobs.domain import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY
from pavo.jobs.requests.domain import JobView
from pavo.jobs.requests.spending_schemas import JobBudgetOut, JobUsageOut, budgets_out, usage_out
from pavo.kit.pagination import Page
from pavo.kit.texts.fields import FilledText, Text
from pavo.usage.schemas import WithTaskBudgets

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)

JobStageName = Literal[
    "QUEUED", "CLAIMED", "PREPARING", "EXECUTING", "VERIFYING", "PUBLISHING", "CLEANING", "DONE", "FAILED", "CANCELLED"
]


class JobCreate(WithTaskBudgets):
    """A new job. Its budgets bound what is asked of models through Pavo, which its option `gateway` wants: true."""

    model_config = _STRICT

    repository: Text = Field(max_length=100)
    """Name or id of one of the organisation's repositories."""
    prompt: FilledText = Field(max_length=100_000)
    """What is to be done."""
    program: Text = Field(max_length=63)
    """Profile of the coding program that does it, such as codex: an agent must have it."""
    title: FilledText | None = Field(None, max_length=200)
    """Null: the first line of the prompt."""
    base_branch: Text | None = Field(None, max_length=200)
    """What it begins at, and its pull request goes to; null: the repository's default branch."""
    priority: StrictInt = Field(DEFAULT_PRIORITY, ge=0, le=100)
    """More is sooner; a point is worth a minute's wait."""
    labels: list[Text] = Field(default_factory=list[str], max_length=20)
    """Which its agent must have, all of them."""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Of the coding program, as its profile takes them."""
    review_plan: StrictBool = False
    """Whether people review the agent's plan first, also where the repository does not ask for it."""
    draft: StrictBool = False
    """Whether its pull request is a draft, also where the repository's are none."""
    max_attempts: StrictInt = Field(DEFAULT_MAX_ATTEMPTS, ge=1, le=20)
    """After so many attempts that were lost it has failed."""


class ReworkIn(BaseModel):
    """A review that the job is to answer."""

    model_config = _STRICT

    body: FilledText = Field(max_length=50_000)


class AdoptIn(BaseModel):
    """Which lost attempt's work is taken over, or given up."""

    model_config = _STRICT

    epoch: StrictInt = Field(ge=1, le=2**62)
    """Number of the attempt."""


class MoveIn(BaseModel):
    """Another place in the queue: one of the two."""

    model_config = _STRICT

    position: StrictInt | None = Field(None, ge=1, le=2**31 - 1)
    """From 1; rework stays before backlog."""
    priority: StrictInt | None = Field(None, ge=0, le=100)
    """The place is the one that it would have had with it from the beginning."""


class CancelReceiptOut(BaseModel):
    """What cancelling a job has reached."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    stage: JobStageName
    reached: bool
    """Whether its agent was told; false: it was away, and cleans up when it comes back. True where no agent had it."""
    killed: int
    """Processes that were ended there."""
    cleaned: bool
    """Whether its worktree is gone."""


class PendingCommandOut(BaseModel):
    """An activity that the workflow waits for."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    activity: str
    state: str
    """scheduled, started, cancel_requested or paused."""
    task_queue: str
    attempt: int
    last_failure: str
    """Empty: none."""


class JobWorkflowOut(BaseModel):
    """What Temporal knows of the workflow of a job's newest attempt."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    workflow_id: str
    run_id: str
    status: str
    """running, completed, failed, canceled, terminated, continued_as_new or timed_out."""
    history_events: int
    pending: list[PendingCommandOut]
    link: str | None = None
    """Its page in Temporal's UI, where this deployment has one."""


class WorkflowStatusOut(BaseModel):
    """A job's newest attempt, as its row and as Temporal knows it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    job_id: uuid.UUID
    stage: JobStageName
    epoch: int
    attempts: int
    max_attempts: int
    error: "JobErrorOut | None"
    """Of the last failure."""
    workflow: JobWorkflowOut | None
    """Null: no attempt was begun, or Temporal knows the workflow no more."""


class JobErrorOut(BaseModel):
    """Why a job failed."""

    type: str
    cause: str
    remedy: str


class PullRequestOut(BaseModel):
    """The pull request of a job."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    url: str
    number: int | None
    state: str | None
    """open, merged or closed, as the forge said last."""


class JobAttemptOut(BaseModel):
    """One attempt at a job."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    epoch: int
    agent: str
    """Its name then."""
    begun_at: datetime
    ended_at: datetime | None
    ended: str | None
    """done, failed, cancelled or lost; null: it is under way."""
    reason: str
    branch: str | None
    """Where its commits were pushed to; of a lost attempt they can be adopted."""
    commit: str | None
    adopted_at: datetime | None
    cleanup_owed: bool
    """Whether its agent could not be reached when it ended, and cleans up when it comes back."""
    finished: bool
    """Whether its coding program came to its end, in time or late."""
    late_work: Literal["owed", "kept", "nothing", "gone", "declined"] | None
    """What has become of the changes that a lost attempt left. owed: its agent has not pushed them yet; kept: they are
    on its branch, and can be adopted; nothing: there were none; gone: they are not on the agent's machine any more."""
    late_reason: str
    """Why they were not pushed yet, or are gone."""


class ListedJob(BaseModel):
    """A job, without what is long."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    organisation_id: uuid.UUID
    repository_id: uuid.UUID
    repository: str
    """Its name."""
    title: str
    base_branch: str
    branch: str
    """The job's own, for its whole life."""
    kind: Literal["backlog", "rework"]
    priority: int
    labels: list[str]
    """Which its agent must have, all of them."""
    program: str
    """Profile of the coding program."""
    stage: JobStageName
    epoch: int
    """Number of the newest attempt; 0: none was begun."""
    attempts: int
    """How many were begun since a person queued it."""
    max_attempts: int
    agent: str | None
    """Who does it, or did it last."""
    pull_request: PullRequestOut | None
    commit: str | None
    outcome: str | None
    """published, pushed or no_changes; null: not done."""
    error: JobErrorOut | None
    budgets: list[JobBudgetOut]
    """Its own, beside those of its organisation."""
    usage: JobUsageOut | None
    """Null: none of its models was asked through Pavo."""
    created_by: str | None
    """Address of who submitted it; null: somebody who is gone."""
    created_at: datetime
    queued_at: datetime
    claimed_at: datetime | None
    heard_at: datetime
    """When a log line, a stage or a result came last."""
    ended_at: datetime | None
    updated_at: datetime


class JobCommandOut(BaseModel):
    """What an attempt's agent was told to do, and how that ended."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    epoch: int
    """Number of the attempt."""
    kind: str
    """start_execution, run_verification, create_pull_request, cleanup, …"""
    round: int
    sent_at: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None
    late: bool
    """Its result came when another attempt held the job."""
    result: dict[str, Any] | None
    """As the agent said it: executed, verified, published, cleaned, planned, failure or cancelled, and seconds."""


class JobCommandPage(BaseModel):
    """Commands in order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[JobCommandOut]
    next: int | None
    """`after` of the next page; null: this is the last one."""


class JobOut(ListedJob):
    """A coding job."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    prompt: str
    options: dict[str, Any]
    """Of the coding program."""
    review_plan: bool
    draft: bool
    feedback: str
    """Of the review that a rework answers."""
    workflow_id: str | None
    run_id: str | None
    cancel_asked_at: datetime | None
    attempt_list: list[JobAttemptOut]


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    items: list[ListedJob]
    next_cursor: str | None


def job_out(found: JobView) -> JobOut:
    """A job as it is shown."""
    return JobOut.model_validate(_members(found))


def job_page(found: Page[JobView]) -> JobPage:
    """A page as it is shown."""
    items = [ListedJob.model_validate(_members(each)) for each in found.items]
    return JobPage(items=items, next_cursor=found.next_cursor)


def _members(found: JobView) -> dict[str, Any]:
    request = None
    if found.pull_request_url is not None:
        request = {
            "url": found.pull_request_url,
            "number": found.pull_request_number,
            "state": found.pull_request_state,
        }
    spent = {"budgets": budgets_out(found.spending), "usage": usage_out(found.spending, found.currency)}
    return {**asdict(found), "pull_request": request, "error": error_members(found.error), **spent}


def error_members(error: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What a row says of an error, as `JobErrorOut` takes it."""
    return None if error is None else {name: str(error.get(name, "")) for name in ("type", "cause", "remedy")}
