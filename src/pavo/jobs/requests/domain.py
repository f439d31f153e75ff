"""What people see of a job. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pavo.errors import InvalidInput
from pavo.jobs.domain import IN_PROGRESS, STAGES
from pavo.usage.domain import Spending


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job."""

    epoch: int
    agent: str
    """Its name then."""
    begun_at: datetime
    ended_at: datetime | None
    ended: str | None
    """done, failed, cancelled or lost."""
    reason: str
    branch: str | None
    """Where its commits were pushed to."""
    commit: str | None
    adopted_at: datetime | None
    cleanup_owed: bool
    finished: bool
    late_work: str | None
    late_reason: str


@dataclass(frozen=True, slots=True)
class GivenCommand:
    """A command that an attempt's agent was given, and how it ended."""

    epoch: int
    kind: str
    round: int
    sent_at: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None
    late: bool
    """Its result came when another attempt held the job."""
    result: Mapping[str, Any] | None
    """As the agent said it (`pavo.fleet.v1.Result`); None: it has not ended."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    repository_id: uuid.UUID
    repository: str
    """Its name."""
    title: str
    prompt: str
    base_branch: str
    branch: str
    kind: str
    priority: int
    labels: Sequence[str]
    program: str
    options: Mapping[str, Any]
    review_plan: bool
    draft: bool
    stage: str
    epoch: int
    """Of the newest attempt; 0: none was begun."""
    attempts: int
    max_attempts: int
    agent: str | None
    feedback: str
    pull_request_url: str | None
    pull_request_number: int | None
    pull_request_state: str | None
    commit: str | None
    outcome: str | None
    error: Mapping[str, Any] | None
    workflow_id: str | None
    run_id: str | None
    cancel_asked_at: datetime | None
    created_by: str | None
    created_at: datetime
    queued_at: datetime
    claimed_at: datetime | None
    heard_at: datetime
    ended_at: datetime | None
    updated_at: datetime
    attempt_list: Sequence[Attempt] = ()
    """Of one that was asked for alone."""
    spending: Spending = field(default_factory=Spending)
    """What its calls of models took through Pavo, and its own budgets."""
    currency: str = ""
    """Of these."""


@dataclass(frozen=True, slots=True)
class WantedJobs:
    """Which jobs are listed."""

    stages: Sequence[str] = ()
    """None names all."""
    repository: str | None = None
    """Its name or id."""
    q: str | None = None
    """In the title, or how the id begins or ends."""


def stages_of(text: str | None) -> tuple[str, ...]:
    """Stages by their names, separated by commas; `running` and `over` name several.

    Raises:
        InvalidInput: one is none.
    """
    found = list[str]()
    for word in filter(None, (each.strip().upper() for each in (text or "").split(","))):
        several = {"RUNNING": IN_PROGRESS, "OVER": ("DONE", "FAILED", "CANCELLED")}.get(word)
        if several is None and word not in STAGES:
            remedy = f"Use {', '.join(STAGES)}; running or over, which name several."
            raise InvalidInput(f"{word[:50]!r} is no stage of a job.", field="stage", remedy=remedy)
        found += several or (word,)
    return tuple(dict.fromkeys(found))
