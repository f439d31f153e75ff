"""The pure rules of a coding job: stages, kinds, order, branches."""

import uuid
from typing import Final

NOUN: Final = "job"
"""What people call one of them: see `runs.kinds.Kind`."""

QUEUED: Final = "QUEUED"
CLAIMED: Final = "CLAIMED"
PREPARING: Final = "PREPARING"
EXECUTING: Final = "EXECUTING"
VERIFYING: Final = "VERIFYING"
PUBLISHING: Final = "PUBLISHING"
CLEANING: Final = "CLEANING"
DONE: Final = "DONE"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"
STAGES: Final = (QUEUED, CLAIMED, PREPARING, EXECUTING, VERIFYING, PUBLISHING, CLEANING, DONE, FAILED, CANCELLED)
IN_PROGRESS: Final = (CLAIMED, PREPARING, EXECUTING, VERIFYING, PUBLISHING, CLEANING)
"""Stages in which an attempt holds the job: a workflow is open, an agent has a place taken."""
PLAN_PHASE: Final = "planning"
EXECUTE_PHASE: Final = "executing"
"""Phases of a workflow in which nothing is done yet that would be lost with its attempt."""
OVER: Final = (DONE, FAILED, CANCELLED)

BACKLOG: Final = "backlog"
REWORK: Final = "rework"
KINDS: Final = (BACKLOG, REWORK)

DEFAULT_PRIORITY: Final = 50
"""0 to 100; more is sooner."""
AGING_SECONDS: Final = 60.0
"""One point of priority is worth so long a wait: a job with priority 0 overtakes one with 100 that came 100 minutes
later. Because every job ages at the same pace, the order of two never changes, and is kept as one number, the rank."""
MAX_AT_ONCE: Final = 1_000
"""Jobs of an organisation that are done at the same time, at most."""
DEFAULT_MAX_ATTEMPTS: Final = 3

LEASE_SECONDS: Final = 60
RENEW_SECONDS: Final = 20

WORKFLOW_PREFIX: Final = "job:"
QUEUE_PREFIX: Final = "queue:"
SHARED_QUEUE: Final = "queue:shared"
"""The monitor that gives out the agents that serve all organisations."""


def rank_of(queued_at: float, priority: int) -> float:
    """The place in a queue: lower is sooner.

    Args:
        queued_at: seconds since 1970.
    """
    return queued_at - priority * AGING_SECONDS


def workflow_id(job_id: uuid.UUID | str, epoch: int) -> str:
    """Of the workflow of one attempt."""
    return f"{WORKFLOW_PREFIX}{job_id}:{epoch}"


def job_of_workflow(workflow_id: str) -> str | None:
    """The job whose attempt has this workflow id; None for other workflows."""
    if not workflow_id.startswith(WORKFLOW_PREFIX):
        return None
    job, _, epoch = workflow_id.removeprefix(WORKFLOW_PREFIX).rpartition(":")
    return job if job and epoch.isdigit() else None


def queue_workflow_id(organisation_id: uuid.UUID | str) -> str:
    """Of the monitor of an organisation's queue."""
    return f"{QUEUE_PREFIX}{organisation_id}"


def branch_of(job_id: uuid.UUID | str) -> str:
    """The branch of a job: one for its whole life."""
    return f"pavo/{job_id}"


def fenced_branch(branch: str, epoch: int) -> str:
    """Where the commits of a lost attempt go until somebody adopts them."""
    return f"{branch}--epoch-{epoch}"


def replaced_branch(branch: str, epoch: int) -> str:
    """Where the commits go that were on a job's branch when an attempt moved it to adopted ones."""
    return f"{branch}--before-epoch-{epoch}"


def retry_delay(errors: int) -> float:
    """Seconds until an agent that answered a command with an error is asked again: 1, 2, 4, … 30.

    Args:
        errors: how many it has answered with, 1 or more.
    """
    return min(30.0, 2.0 ** (errors - 1))


def connection_delay(looks: int) -> float:
    """Seconds until it is looked again where an agent is, unless a signal tells: 1, 2, 4, … 30.

    Args:
        looks: how often it was looked in vain, 1 or more.
    """
    return min(30.0, 2.0 ** min(looks - 1, 5))
