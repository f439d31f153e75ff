"""The contract of the frontends that exist: thin routes over the same services, so that their pages work unchanged."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from pavo.accounts.domain import Identity
from pavo.accounts.security import Caller, maybe_identity
from pavo.errors import BadRequest, InvalidInput, NotAuthenticated, WrongStage
from pavo.tasks import domain as d
from pavo.tasks.dependencies import services_of
from pavo.tasks.endpoints import stream_task
from pavo.tasks.event_stream import EventStream
from pavo.tasks.presenters import stage_status
from pavo.tasks.schemas import MAX_FEEDBACK, MAX_TITLE, FilledText, TaskCreate, Text

router = APIRouter(tags=["existing frontends"])
NEWEST = 50


async def _visitor(request: Request) -> Identity | None:
    """Whoever the headers name, or nobody; these routes answer 400 where a header is malformed."""
    try:
        return await maybe_identity(request)
    except InvalidInput as error:
        raise BadRequest(error.detail, field=error.field, remedy=error.remedy) from error


async def _named(request: Request) -> Identity:
    """Whoever the headers name: these routes answer 400 to nobody (401 where tokens are needed)."""
    who = await _visitor(request)
    if who is not None:
        return who
    remedy = "Send X-User-Id or X-User-Email."
    if request.app.state.accounts.mode == "token":
        raise NotAuthenticated("Nobody proved who they are.", remedy="Open a session with POST /api/session.")
    raise BadRequest("The request says nothing about who sends it.", field="X-User-Id", remedy=remedy)


Visitor = Annotated[Identity | None, Depends(_visitor)]
Named = Annotated[Identity, Depends(_named)]


class LegacyCreate(BaseModel):
    """A title and an agent."""

    model_config = ConfigDict(extra="ignore")

    title: FilledText = Field(min_length=1, max_length=MAX_TITLE)
    agent_type: Text = Field(default="intern", max_length=100)


class LegacyBody(BaseModel):
    """A comment."""

    model_config = ConfigDict(extra="ignore")

    body: FilledText = Field(min_length=1, max_length=MAX_FEEDBACK)


class LegacyAction(BaseModel):
    """What to do with a document."""

    model_config = ConfigDict(extra="ignore")

    action: Text = Field(max_length=100)


@router.get("/me_v2")
async def me(request: Request, who: Visitor) -> dict[str, Any]:
    """Who I am, and my newest tasks."""
    if who is None:
        return {"user_id": None, "email": None, "tasks": []}
    page = await services_of(request).tasks.list(who, limit=NEWEST)
    tasks = [
        {
            "id": str(view.task.id),
            "title": view.task.title,
            "agent_type": view.task.agent_type,
            "stage": view.task.stage,
            "stage_status": stage_status(view),
        }
        for view in page.items
    ]
    return {"user_id": str(who.user_id), "email": who.email, "tasks": tasks}


@router.post("/create_task_id")
async def create(request: Request, who: Named, new: LegacyCreate) -> dict[str, Any]:
    """Create a task; it starts with its first message."""
    view, _ = await services_of(request).tasks.create(who, TaskCreate(title=new.title, agent_type=new.agent_type))
    return {"task_id": str(view.task.id), "workflow_id": view.task.workflow_id}


@router.post("/tasks/{task_id}/message")
async def message(request: Request, who: Caller, task_id: uuid.UUID) -> dict[str, Any]:
    """Start the task, or resume it."""
    tasks = services_of(request).tasks
    view = await tasks.get(who, task_id)
    if view.task.stage == d.DONE:
        return {"workflow_id": view.task.workflow_id, "already_running": True}
    command = tasks.resume if view.task.stage in d.RESUMABLE else tasks.start
    try:
        started = await command(who, task_id)
    except WrongStage:
        # It changed between the two look-ups: whatever it does now, it was started.
        return {"workflow_id": view.task.workflow_id, "already_running": True}
    running = "already_running" if started.already_running else "started"
    return {"workflow_id": started.workflow_id, running: True}


@router.post("/tasks/{task_id}/accept_rfc")
async def accept_rfc(request: Request, who: Caller, task_id: uuid.UUID) -> dict[str, bool]:
    """Accept the latest plan."""
    await services_of(request).review.accept_latest(who, task_id)
    return {"ok": True}


@router.post("/tasks/{task_id}/document/{document_id}/feedback/add")
async def add_feedback(
    request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID, new: LegacyBody
) -> dict[str, str]:
    """Comment on the plan."""
    row = await services_of(request).review.add_feedback(who, task_id, document_id, new.body)
    return {"feedback_id": str(row.id)}


@router.post("/tasks/{task_id}/document/{document_id}/feedback/{feedback_id}/update")
async def update_feedback(
    request: Request,
    who: Caller,
    task_id: uuid.UUID,
    document_id: uuid.UUID,
    feedback_id: uuid.UUID,
    new: LegacyBody,
) -> dict[str, bool]:
    """Change a comment."""
    await services_of(request).review.edit_feedback(who, task_id, document_id, feedback_id, new.body)
    return {"ok": True}


@router.post("/tasks/{task_id}/document/{document_id}/status")
async def document_status(
    request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID, change: LegacyAction
) -> dict[str, bool]:
    """Say that the review is done."""
    if change.action != "done_reviewing":
        raise BadRequest(
            f"There is no action {change.action!r}.", field="action", remedy='Send {"action": "done_reviewing"}.'
        )
    await services_of(request).review.done_reviewing(who, task_id, document_id=document_id)
    return {"ok": True}


@router.post("/tasks/{task_id}/force-stop")
async def force_stop(request: Request, who: Caller, task_id: uuid.UUID) -> dict[str, bool]:
    """Stop the task."""
    await services_of(request).tasks.stop(who, task_id)
    return {"ok": True}


@router.get("/agent_status")
async def agent_status(request: Request, who: Caller, task_id: uuid.UUID | None = None) -> dict[str, Any]:
    """Where a task stands; without one, that the server is there."""
    if task_id is None:
        return {"ok": True}
    view = await services_of(request).tasks.get(who, task_id)
    return {"task_id": str(task_id), "stage": view.task.stage, "stage_status": stage_status(view)}


router.add_api_route("/tasks/{task_id}/stream", stream_task, methods=["GET"], response_class=EventStream)
