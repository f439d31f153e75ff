"""The events that tasks write to their timelines, by name, so that each is shaped in one place."""

import uuid
from typing import Any

from pavo.tasks.domain import EXECUTING, STATUS_OF
from pavo.timeline.domain import NewEvent


def stage(name: str) -> NewEvent:
    """The task entered a stage."""
    status = f"{STATUS_OF[name]}:0" if name == EXECUTING else STATUS_OF[name]
    return NewEvent("stage", {"stage": name, "status": status})


def stage_executing(progress: int) -> NewEvent:
    """The task goes on executing at this progress."""
    return NewEvent("stage", {"stage": EXECUTING, "status": f"{STATUS_OF[EXECUTING]}:{progress}"})


def context(titles: list[str]) -> NewEvent:
    """What was found in the corpus before planning."""
    return NewEvent("context", {"n": len(titles), "titles": titles})


def plan(document_id: uuid.UUID, version: int, plan_hash: str) -> NewEvent:
    """A version of the plan is open for review."""
    return NewEvent("plan", {"doc_id": str(document_id), "version": version, "hash": plan_hash})


def feedback(document_id: uuid.UUID, feedback_id: uuid.UUID, *, edited: bool = False) -> NewEvent:
    """Somebody commented on the plan, or changed a comment."""
    data: dict[str, Any] = {"doc_id": str(document_id), "feedback_id": str(feedback_id)}
    return NewEvent("feedback", {**data, "edited": True} if edited else data)


def accepted(document_id: uuid.UUID, plan_hash: str, by: str) -> NewEvent:
    """The plan with this hash is the one to execute."""
    return NewEvent("accepted", {"doc_id": str(document_id), "hash": plan_hash, "by": by})


def tick(progress: int, step: int, total: int | None) -> NewEvent:
    """One step is recorded."""
    data = {"progress": progress, "step": step}
    return NewEvent("tick", {**data, "total": total} if total is not None else data)


def progress(steps: int) -> NewEvent:
    """A batch ended with this many steps recorded."""
    return NewEvent("progress", {"steps": steps})


def recovered(step: int, cause: str) -> NewEvent:
    """The run goes on after this recorded step after a process died."""
    return NewEvent("recovered", {"step": step, "cause": cause})


def retry(step: int, error: str, attempt: int) -> NewEvent:
    """The agent failed at this step and will be tried again."""
    return NewEvent("retry", {"step": step, "error": error, "attempt": attempt})


def stopped(receipt: dict[str, Any]) -> NewEvent:
    """The task is stopped; the receipt tells where."""
    return NewEvent("stopped", {"receipt": receipt})


def report(document_id: uuid.UUID) -> NewEvent:
    """The report is there."""
    return NewEvent("report", {"doc_id": str(document_id)})


def failed(error: dict[str, Any]) -> NewEvent:
    """The task failed; cause and remedy."""
    return NewEvent("failed", {"error": error})


def deleted() -> NewEvent:
    """The task is gone; nothing follows."""
    return NewEvent("deleted")
