"""The pure rules of a task: stages, phases, hashes, receipts."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pavo.errors import InvalidInput
from pavo.runs.fence import Fence

INIT: Final = "INIT"
PLANNING: Final = "PLANNING"
WAIT_RFC: Final = "WAIT_RFC"
EXECUTING: Final = "EXECUTING"
DONE: Final = "DONE"
STOPPED: Final = "STOPPED"
FAILED: Final = "FAILED"
STAGES: Final = (INIT, PLANNING, WAIT_RFC, EXECUTING, DONE, STOPPED, FAILED)

STATUSES: Final = {
    INIT: "PENDING",
    PLANNING: "RUNNING",
    WAIT_RFC: "PAUSED",
    EXECUTING: "RUNNING",
    DONE: "COMPLETED",
    STOPPED: "PAUSED",
    FAILED: "ERROR",
}
"""Each stage's status; people see it as `status_of` tells it."""

STAGE_WORDS: Final = {
    "not started": INIT,
    "planning": PLANNING,
    "in review": WAIT_RFC,
    "review": WAIT_RFC,
    "waiting": WAIT_RFC,
    "running": EXECUTING,
    "done": DONE,
    "stopped": STOPPED,
    "failed": FAILED,
}
"""What people call the stages: the page's words, and shorter ones."""


def stages_of(text: str) -> tuple[str, ...]:
    """The stages in a list such as "WAIT_RFC,failed" or "in review, running", in any case.

    Raises:
        InvalidInput: one of them is none.
    """
    found: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        stage = STAGE_WORDS.get(word.lower().replace("-", " ").replace("_", " "), word.upper())
        if stage not in STAGES:
            known = f"{', '.join(STAGES)}; or {', '.join(STAGE_WORDS)}"
            raise InvalidInput(f"There is no stage {word[:40]!r}.", field="stage", remedy=f"Use one of {known}.")
        found.append(stage)
    return tuple(dict.fromkeys(found))


ACTIVE: Final = (PLANNING, WAIT_RFC, EXECUTING)
"""Stages in which a workflow is open."""
RESUMABLE: Final = (STOPPED, FAILED)
EDITABLE: Final = (INIT, *RESUMABLE)
"""Stages in which a task's input may be changed: nothing works on it."""
FOLLOW_IT_UP: Final = "Say what else is to be done: `pavo task message`, POST /api/tasks/{id}/messages."
"""How remedies end where the task is done."""
MEND_INPUT: Final = "mend the agent, or the task's input (`pavo task edit`, PATCH /api/tasks/{id}), then resume it."
"""How remedies end where the agent failed."""

PHASE_PLANNING: Final = "planning"
PHASE_REVISING: Final = "revising"
PHASE_REVIEW: Final = "review"
PHASE_EXECUTING: Final = "executing"
PHASE_OVER: Final = "over"

STAGE_OF_PHASE: Final = {
    PHASE_PLANNING: PLANNING,
    PHASE_REVISING: PLANNING,
    PHASE_REVIEW: WAIT_RFC,
    PHASE_EXECUTING: EXECUTING,
}

MAX_STEP_ATTEMPTS: Final = 5
"""How often an agent's own error after one checkpoint is tried, the first time included."""
MAX_DEATHS: Final = 3
"""How many processes may die at one step before it is quarantined."""
WARNED_BEGINNINGS: Final = 10
"""How often an agent begins again at one checkpoint, after ends of its own, before people are told, each time."""
MAX_BEGINNINGS: Final = 30
"""How often before the task fails: it would go on for ever, and each time may cost."""
FIRST_RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 30.0

PLAN_WRITES: Final = 3
"""How many numbers a planning takes where policy accepts: that of PLANNING, and the two below."""


def acceptance_after(planning: Fence) -> Fence:
    """The number of the write that accepts a plan by policy, by that of the write that showed PLANNING."""
    return planning.later(1)


def done_after(planning: Fence) -> Fence:
    """The number of the write that shows DONE, where the first attempt after an acceptance by policy is the last."""
    return planning.later(2)


BY_POLICY: Final = "policy:auto_accept"
"""Who accepted the plan of a task that was created with auto_accept."""


QUEUED: Final = "QUEUED"
"""The status of a task that is started and that no worker has begun: INIT with a run."""

WAITING: Final = "WAITING"
"""Begins the status of a task that workers hand back until something comes; what, follows after a colon."""

IN_PROMPT: Final = "prompt"
IN_REVIEW: Final = "feedback"
FOR_AGENT: Final = "message"
FOLLOW_UP: Final = "follow_up"
"""The task was done, and goes on because of it."""


def place_of_message(stage: str, phase: str, *, planned: bool) -> str:
    """Where what somebody says to a task in this stage is put.

    Args:
        planned: whether a version of the plan exists, also one that nobody has seen yet.
    """
    if stage == DONE:
        return FOLLOW_UP
    if phase == PHASE_REVIEW:
        return IN_REVIEW
    # An attempt that plans has read the prompt already; a stopped one reads it again.
    return IN_PROMPT if stage != PLANNING and not planned else FOR_AGENT


def edits_after(stage: str, edits: int) -> int:
    """How often the prompt was changed since the first start, after another change in this stage: what never began did
    nothing outside that its successor could be taken for."""
    return edits if stage == INIT else edits + 1


def status_of(stage: str, progress: int = 0) -> str:
    """A task's status as people see it: EXECUTING carries its progress, RUNNING:{n}."""
    return f"{STATUSES[stage]}:{progress}" if stage == EXECUTING else STATUSES[stage]


def retry_delay(attempt: int) -> float:
    """Seconds to wait after the attempt with this number (from 1) failed: 1, 2, 4, … at most 30."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** (attempt - 1), MAX_RETRY_SECONDS)


def retry_at(failed: datetime, attempt: int) -> datetime:
    """When the agent is tried again, of which the attempt with this number failed at that moment."""
    return failed + timedelta(seconds=retry_delay(attempt))


def workflow_id(user_id: uuid.UUID, task_id: uuid.UUID, agent_type: str) -> str:
    """The id under which exactly one workflow of a task can be open."""
    return f"u:{user_id}|t:{task_id}|a:{agent_type}"


def task_of_workflow(workflow_id: str) -> str | None:
    """The task whose workflow has this id; None for other workflows."""
    parts = workflow_id.split("|")
    return parts[1][2:] if len(parts) == 3 and parts[1].startswith("t:") else None


def content_hash(kind: str, version: int, content: dict[str, Any]) -> str:
    """SHA-256, in hex, of the document's kind, version and content as canonical JSON.

    The version is part of it, so that an acceptance names one version even if two read the same.
    """
    canonical = json.dumps([kind, version, content], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a stop answers."""

    stage: str
    """The stage in which the task was stopped (or already was)."""
    last_step: int
    """Number of the last checkpoint; 0 when there is none."""
    step_cut: bool
    """Whether the work in hand was cut: it will be repeated as a whole."""
    resume: str
    """What resuming will do, for people."""


def standing_at(stage: str, last_step: int) -> Receipt:
    """What a stop answers that found the task over."""
    return Receipt(stage, last_step, False, resume_outlook(stage, last_step, step_cut=False))


def resume_outlook(stage: str, last_step: int, *, step_cut: bool, queued: bool = False) -> str:
    """What resuming a task will do that was stopped in this stage.

    Args:
        queued: it was started, and no worker had begun it.
    """
    if queued:
        return "No worker had begun it. Resuming makes the plan."
    if stage == PLANNING:
        return "Resuming makes the plan again."
    if stage == WAIT_RFC:
        return "Resuming returns to the review of the plan."
    if stage == EXECUTING:
        again = "; what was cut is repeated as a whole" if step_cut else ""
        return f"Resuming goes on with checkpoint {last_step + 1}{again}."
    if stage == INIT:
        return "Nothing was running; start the task when you like."
    if stage == DONE:
        return "The task is done; there is nothing to resume. Say something to it, and it goes on."
    return "Nothing was running; resume goes on where the task was."


def superseded(version: int) -> str:
    """Why a plan's hash is refused."""
    return f"Version {version} of the plan is current."


def unanswered(items: int) -> str:
    """Why a plan with feedback is refused."""
    return f"The plan has {items} feedback item(s) that no revision has answered."


def plan_markdown(title: str, version: int, summary: str, steps: Sequence[tuple[str, str]]) -> str:
    """A plan as people read it, steps numbered from 1."""
    lines = [f"# Plan v{version}: {title}", "", summary.strip(), ""]
    for number, (name, detail) in enumerate(steps, 1):
        lines.append(f"{number}. **{name}**" + (f" — {detail}" if detail else ""))
    return "\n".join(lines) + "\n"
