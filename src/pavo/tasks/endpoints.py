"""HTTP of tasks: parse, call one service method, return."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from pavo.accounts.security import Caller, StreamCaller
from pavo.errors import InvalidInput
from pavo.kit.problem import problems
from pavo.tasks.dependencies import services_of
from pavo.tasks.event_stream import EventStream
from pavo.tasks.presenters import document_out, feedback_out, task_out
from pavo.tasks.schemas import (
    AcceptIn,
    AnswerOut,
    DocumentList,
    DocumentOut,
    EventOut,
    EventPage,
    FeedbackEdit,
    FeedbackIn,
    FeedbackOut,
    ReceiptOut,
    ReviewedIn,
    StartOut,
    StopOut,
    TaskCreate,
    TaskOut,
    TaskPage,
)

router = APIRouter(prefix="/api/tasks", tags=["tasks"], responses=problems(401, 422))
LOCATION = {"Location": {"description": "Where the task is.", "required": True, "schema": {"type": "string"}}}
MAX_SEQ = 2**62
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, each with `id` (its seq) and `data` (JSON); it lasts until the task is done."},
    204: {"description": "Nothing will follow: the task is done and all was seen, or it is deleted. Do not reconnect."},
    **problems(404),
}
"""What a stream answers."""


@router.post(
    "",
    status_code=201,
    responses={
        201: {"headers": LOCATION},
        200: {"model": TaskOut, "description": "Created before, with the same Idempotency-Key.", "headers": LOCATION},
        **problems(409, 413),
    },
)
async def create_task(
    request: Request,
    response: Response,
    who: Caller,
    new: TaskCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> TaskOut:
    """Create a task. With an Idempotency-Key the same request creates one task however often it is sent."""
    view, created = await services_of(request).tasks.create(who, new, idempotency_key)
    if not created:
        response.status_code = 200
    response.headers["Location"] = f"/api/tasks/{view.task.id}"
    return task_out(view)


@router.get("")
async def list_tasks(
    request: Request,
    who: Caller,
    stage: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> TaskPage:
    """The organisation's tasks, newest first."""
    page = await services_of(request).tasks.list(who, stage=stage, limit=limit, cursor=cursor)
    return TaskPage(items=[task_out(view) for view in page.items], next_cursor=page.next_cursor)


@router.get("/{task_id}", response_model=TaskOut, responses=problems(404))
async def get_task(request: Request, who: Caller, task_id: uuid.UUID) -> Response:
    """One task."""
    found = task_out(await services_of(request).tasks.get(who, task_id))
    # Asked for more than anything else: written as it is, not checked against its own schema once more.
    return Response(found.model_dump_json(), media_type="application/json")


@router.post("/{task_id}/start", responses=problems(404, 409))
async def start_task(request: Request, who: Caller, task_id: uuid.UUID) -> StartOut:
    """Start the task; twice at once starts it once."""
    started = await services_of(request).tasks.start(who, task_id)
    return StartOut(workflow_id=started.workflow_id, run_id=started.run_id, already_running=started.already_running)


@router.post("/{task_id}/resume", responses=problems(404, 409))
async def resume_task(request: Request, who: Caller, task_id: uuid.UUID) -> StartOut:
    """Go on where the task was stopped or failed."""
    started = await services_of(request).tasks.resume(who, task_id)
    return StartOut(workflow_id=started.workflow_id, run_id=started.run_id, already_running=started.already_running)


@router.post(
    "/{task_id}/stop",
    response_model=ReceiptOut,
    responses={
        202: {
            "model": StopOut,
            "description": "No worker has carried it out yet; it is durable, and happens as soon as one does.",
        },
        **problems(404, 409),
    },
)
async def stop_task(request: Request, who: Caller, task_id: uuid.UUID) -> Response | ReceiptOut:
    """Stop the task. Once this has answered 200, no further step starts."""
    stopped = await services_of(request).tasks.stop(who, task_id)
    if stopped.receipt is None:
        why = stopped.pending.detail if stopped.pending else ""
        recorded = StopOut(accepted=True, detail=f"The stop is durable. {why}".strip())
        return JSONResponse(recorded.model_dump(), 202)
    receipt = stopped.receipt
    return ReceiptOut(
        stage=receipt.stage, last_step=receipt.last_step, step_cut=receipt.step_cut, resume=receipt.resume
    )


@router.delete("/{task_id}", status_code=204, responses=problems(404, 409))
async def delete_task(request: Request, who: Caller, task_id: uuid.UUID) -> None:
    """Stop the task and remove it; its streams end."""
    await services_of(request).tasks.delete(who, task_id)


@router.get("/{task_id}/documents", responses=problems(404))
async def list_documents(request: Request, who: Caller, task_id: uuid.UUID) -> DocumentList:
    """All versions of the plan, and the report."""
    found = await services_of(request).review.documents(who, task_id)
    return DocumentList(items=[document_out(view) for view in found])


@router.get("/{task_id}/documents/{document_id}", responses=problems(404))
async def get_document(request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentOut:
    """One document."""
    return document_out(await services_of(request).review.document(who, task_id, document_id))


@router.post("/{task_id}/documents/{document_id}/feedback", status_code=201, responses=problems(404, 409, 413))
async def add_feedback(
    request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID, new: FeedbackIn
) -> FeedbackOut:
    """Comment on the plan under review, or on one of its steps."""
    review = services_of(request).review
    return feedback_out(await review.add_feedback(who, task_id, document_id, new.body, new.step))


@router.patch("/{task_id}/documents/{document_id}/feedback/{feedback_id}", responses=problems(404, 409, 413))
async def edit_feedback(
    request: Request,
    who: Caller,
    task_id: uuid.UUID,
    document_id: uuid.UUID,
    feedback_id: uuid.UUID,
    changed: FeedbackEdit,
) -> FeedbackOut:
    """Change a comment while the plan is under review."""
    review = services_of(request).review
    return feedback_out(await review.edit_feedback(who, task_id, document_id, feedback_id, changed.body))


@router.post("/{task_id}/plan/done-reviewing", responses=problems(404, 409, 413))
async def done_reviewing(
    request: Request, who: Caller, task_id: uuid.UUID, reviewed: ReviewedIn | None = None
) -> AnswerOut:
    """End the review: with feedback the agent revises the plan, without any the plan is accepted.

    Name the hash of the version that you reviewed: a second click then never answers the next one.
    """
    plan_hash = reviewed.hash if reviewed else None
    answer = await services_of(request).review.done_reviewing(who, task_id, plan_hash=plan_hash)
    return AnswerOut(outcome=answer.outcome, hash=answer.current_hash)


@router.post("/{task_id}/plan/accept", responses=problems(404, 409, 413))
async def accept_plan(request: Request, who: Caller, task_id: uuid.UUID, accept: AcceptIn) -> AnswerOut:
    """Accept the plan with this hash, and only that."""
    answer = await services_of(request).review.accept(who, task_id, accept.hash)
    return AnswerOut(outcome=answer.outcome, hash=answer.current_hash)


@router.get("/{task_id}/events", responses=problems(404))
async def list_events(
    request: Request,
    who: Caller,
    task_id: uuid.UUID,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> EventPage:
    """The task's timeline after `after`, oldest first."""
    found, head = await services_of(request).watching.events(who, task_id, after, limit)
    items = [EventOut.model_validate(event.as_dict()) for event in found]
    return EventPage(items=items, last_seq=head.last_seq, closed=head.closed)


@router.get("/{task_id}/stream", response_class=EventStream, responses=STREAM)
async def stream_task(
    request: Request,
    who: StreamCaller,
    task_id: uuid.UUID,
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQ)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The timeline as server-sent events: `id` is the seq; goes on after Last-Event-ID; 204 past the end."""
    position = _position(after, last_event_id)
    found = await services_of(request).watching.stream(who, task_id, position)
    if found is None:
        return Response(status_code=204)
    return EventStream(found)


def _position(after: int | None, last_event_id: str | None) -> int:
    """Last-Event-ID is newer than `?after=`: a browser repeats the address when it reconnects."""
    if not last_event_id:
        return after or 0
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
        raise InvalidInput(
            "Last-Event-ID is no number of an event.", field="Last-Event-ID", remedy="Send the id of the last event."
        )
    return int(last_event_id)
