"""From rows to the wire."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pavo.accounts.domain import name_of
from pavo.accounts.people import Person
from pavo.accounts.schemas import PersonOut
from pavo.errors import PavoError
from pavo.tasks.conversation import Said
from pavo.tasks.domain import ACTIVE, INIT, QUEUED, WAITING, Receipt, status_of
from pavo.tasks.review import Comment, CommentPage, DocumentView
from pavo.tasks.schemas import (
    DocumentOut,
    Failure,
    FeedbackLeft,
    FeedbackOut,
    FeedbackPage,
    ListedTask,
    MessageOut,
    PlanRef,
    ReceiptOut,
    RefusalOut,
    StopOut,
    TaskOut,
    TaskOutcome,
    TaskOutcomes,
)
from pavo.tasks.service import StopPending
from pavo.tasks.sql.repository import TaskView
from pavo.usage.domain import NANOS
from pavo.usage.schemas import UsageOfTask


def stage_status(view: TaskView) -> str:
    """The status as people see it: EXECUTING carries its progress; INIT with a run is queued for a worker.

    Where something must come before an agent works on the task, it is that: WAITING:{what}.
    """
    if view.waiting is not None and view.task.stage in (INIT, *ACTIVE):
        return f"{WAITING}:{view.waiting}"
    if view.task.stage == INIT and view.task.run_id is not None:
        return QUEUED
    return status_of(view.task.stage, view.progress)


def task_out(view: TaskView) -> TaskOut:
    """A task."""
    task = view.task
    given = {name: getattr(task, name) for name in ("prompt", "agent_options", "step_seconds")}
    used = None
    if (found := view.usage) is not None:
        sums: dict[str, Any] = {name: getattr(found, name) for name in UsageOfTask.model_fields}
        used = UsageOfTask.model_validate({**sums, "cost": found.cost / NANOS})
    return TaskOut.model_construct(**given, code=view.code, usage=used, **_summary(view, task.error))


def listed_task(view: TaskView) -> ListedTask:
    """A task in a list."""
    return ListedTask.model_construct(summary=view.summary, **_summary(view, view.error))


def _summary(view: TaskView, error: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members that both have."""
    task, plan = view.task, view.plan
    current = plan and PlanRef.model_construct(
        document_id=plan.document_id, version=plan.version, hash=plan.hash, status=plan.status, steps=plan.steps
    )
    return {
        "id": task.id,
        "title": task.title,
        "agent_type": task.agent_type,
        "stage": task.stage,
        "stage_status": stage_status(view),
        "progress": view.progress,
        "steps": view.step,
        "total": view.total,
        "plan_step": view.plan_step,
        "next_retry_at": view.retry_at,
        "workflow_id": task.workflow_id,
        "run_id": task.run_id,
        "plan": current,
        "auto_accept": task.auto_accept,
        "parent_id": task.parent_id,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "error": Failure(**error) if error else None,
    }


def document_out(view: DocumentView) -> DocumentOut:
    """A document with its feedback."""
    row = view.document
    return DocumentOut(
        id=row.id,
        task_id=row.task_id,
        kind=row.kind,
        version=row.version if row.kind == "PLAN" else 1,
        status=row.status,
        hash=row.hash,
        body=row.body,
        content=row.content,
        accepted_by=_acceptor(view),
        accepted_at=row.accepted_at,
        created_at=row.created_at,
        feedback=[feedback_out(item) for item in view.feedback.items],
        feedback_left=_left(view.feedback),
    )


def _left(page: CommentPage) -> FeedbackLeft | None:
    if page.cursor is None:
        return None
    return FeedbackLeft(cursor=page.cursor, count=page.left, open=page.open_left)


def feedback_page(page: CommentPage) -> FeedbackPage:
    """A page of comments."""
    return FeedbackPage(items=[feedback_out(item) for item in page.items], next_cursor=page.cursor)


def stop_out(stopped: Receipt | StopPending) -> ReceiptOut | StopOut:
    """What a stop answers."""
    if isinstance(stopped, StopPending):
        return StopOut(accepted=True, detail=f"The stop is durable. {stopped.detail}", reason=stopped.reason)
    return ReceiptOut(
        stage=stopped.stage, last_step=stopped.last_step, step_cut=stopped.step_cut, resume=stopped.resume
    )


def outcomes(ids: Sequence[uuid.UUID], found: Sequence[Receipt | StopPending | PavoError | None]) -> TaskOutcomes:
    """What became of each of several tasks."""
    return TaskOutcomes(items=[_outcome(task_id, each) for task_id, each in zip(ids, found, strict=True)])


def _outcome(task_id: uuid.UUID, found: Receipt | StopPending | PavoError | None) -> TaskOutcome:
    if found is None:
        return TaskOutcome(id=task_id, outcome="done")
    if isinstance(found, PavoError):
        refusal = RefusalOut(code=found.code, detail=found.detail, remedy=found.remedy)
        return TaskOutcome(id=task_id, outcome="refused", refusal=refusal)
    told = stop_out(found)
    if isinstance(told, StopOut):
        return TaskOutcome(id=task_id, outcome="pending", pending=told)
    return TaskOutcome(id=task_id, outcome="done", receipt=told)


def message_out(said: Said) -> MessageOut:
    """A message."""
    row = said.message
    return MessageOut.model_validate(
        {
            "id": row.id,
            "task_id": row.task_id,
            "author": person_out(said.author),
            "body": row.body,
            "placed": row.placed,
            "seq": row.seq,
            "created_at": row.created_at,
        }
    )


def person_out(person: Person) -> PersonOut:
    """Who it was."""
    return PersonOut(id=person.id, email=person.email, name=person.name)


def _acceptor(view: DocumentView) -> PersonOut | None:
    """Who accepted it: a user, a policy, or one of whom only the address was kept."""
    by = view.document.accepted_by
    if by is None or view.accepted_by is not None:
        return person_out(view.accepted_by) if view.accepted_by else None
    return PersonOut(id=None, email=by if "@" in by else None, name=name_of(by) if "@" in by else by)


def feedback_out(comment: Comment) -> FeedbackOut:
    """A comment."""
    row = comment.feedback
    return FeedbackOut(
        id=row.id,
        document_id=row.document_id,
        author_id=row.author_id,
        author=person_out(comment.author),
        step=row.step,
        body=row.body,
        answer=row.answer,
        answered_in=row.answered_in,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
