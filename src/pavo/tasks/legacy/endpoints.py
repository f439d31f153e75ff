"""The contract of the frontends that exist: thin routes over the same services, so that their pages work unchanged."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BeforeValidator

from pavo.accounts.domain import Identity
from pavo.accounts.security import Caller, current_identity, maybe_identity
from pavo.errors import BadRequest, InvalidInput, NotAuthenticated, WrongStage
from pavo.kit.problem import problems
from pavo.tasks import domain as d
from pavo.tasks.dependencies import services_of
from pavo.tasks.endpoints import STREAM, stream_task
from pavo.tasks.event_stream import EventStream
from pavo.tasks.legacy.schemas import (
    LegacyAction,
    LegacyBody,
    LegacyCreate,
    LegacyCreated,
    LegacyFeedback,
    LegacyMe,
    LegacyOk,
    LegacyStarted,
    LegacyStatus,
    LegacyTask,
)
from pavo.tasks.presenters import stage_status
from pavo.tasks.schemas import TaskCreate

router = APIRouter(tags=["existing frontends"], responses=problems(401, 422))
NEWEST = 50
ALSO_NOBODY: dict[str, list[dict[str, list[str]]]] = {"security": [{}]}
"""Some answer for those who do not say who they are."""


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
OptionalId = Annotated[uuid.UUID | None, BeforeValidator(lambda text: text or None)]
"""Pages also send `task_id=`, which is none."""


@router.get("/me_v2", responses=problems(400), openapi_extra=ALSO_NOBODY)
async def me(request: Request, who: Visitor) -> LegacyMe:
    """Who I am, and my newest tasks."""
    if who is None:
        return LegacyMe(user_id=None, email=None, tasks=[])
    page = await services_of(request).tasks.list(who, limit=NEWEST)
    tasks = [
        LegacyTask(
            id=view.task.id,
            title=view.task.title,
            agent_type=view.task.agent_type,
            stage=view.task.stage,
            stage_status=stage_status(view),
        )
        for view in page.items
    ]
    return LegacyMe(user_id=who.user_id, email=who.email, tasks=tasks)


@router.post("/create_task_id", responses=problems(400, 413))
async def create(request: Request, who: Named, new: LegacyCreate) -> LegacyCreated:
    """Create a task; it starts with its first message."""
    view, _ = await services_of(request).tasks.create(who, TaskCreate(title=new.title, agent_type=new.agent_type))
    return LegacyCreated(task_id=view.task.id, workflow_id=view.task.workflow_id)


@router.post("/tasks/{task_id}/message", response_model_exclude_unset=True, responses=problems(404, 409))
async def message(request: Request, who: Caller, task_id: uuid.UUID) -> LegacyStarted:
    """Start the task, or resume it."""
    tasks = services_of(request).tasks
    view = await tasks.get(who, task_id)
    if view.task.stage == d.DONE:
        return LegacyStarted(workflow_id=view.task.workflow_id, already_running=True)
    command = tasks.resume if view.task.stage in d.RESUMABLE else tasks.start
    try:
        started = await command(who, task_id)
    except WrongStage:
        # It changed between the two look-ups: whatever it does now, it was started.
        return LegacyStarted(workflow_id=view.task.workflow_id, already_running=True)
    if started.already_running:
        return LegacyStarted(workflow_id=started.workflow_id, already_running=True)
    return LegacyStarted(workflow_id=started.workflow_id, started=True)


@router.post("/tasks/{task_id}/accept_rfc", responses=problems(404, 409))
async def accept_rfc(request: Request, who: Caller, task_id: uuid.UUID) -> LegacyOk:
    """Accept the latest plan."""
    await services_of(request).review.accept_latest(who, task_id)
    return LegacyOk()


@router.post("/tasks/{task_id}/document/{document_id}/feedback/add", responses=problems(404, 409, 413))
async def add_feedback(
    request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID, new: LegacyBody
) -> LegacyFeedback:
    """Comment on the plan."""
    row = await services_of(request).review.add_feedback(who, task_id, document_id, new.body)
    return LegacyFeedback(feedback_id=row.id)


@router.post("/tasks/{task_id}/document/{document_id}/feedback/{feedback_id}/update", responses=problems(404, 409, 413))
async def update_feedback(
    request: Request,
    who: Caller,
    task_id: uuid.UUID,
    document_id: uuid.UUID,
    feedback_id: uuid.UUID,
    new: LegacyBody,
) -> LegacyOk:
    """Change a comment."""
    await services_of(request).review.edit_feedback(who, task_id, document_id, feedback_id, new.body)
    return LegacyOk()


@router.post("/tasks/{task_id}/document/{document_id}/status", responses=problems(400, 404, 409, 413))
async def document_status(
    request: Request, who: Caller, task_id: uuid.UUID, document_id: uuid.UUID, change: LegacyAction
) -> LegacyOk:
    """Say that the review is done."""
    if change.action != "done_reviewing":
        raise BadRequest(
            f"There is no action {change.action!r}.", field="action", remedy='Send {"action": "done_reviewing"}.'
        )
    await services_of(request).review.done_reviewing(who, task_id, document_id=document_id)
    return LegacyOk()


@router.post("/tasks/{task_id}/force-stop", responses=problems(404, 409))
async def force_stop(request: Request, who: Caller, task_id: uuid.UUID) -> LegacyOk:
    """Stop the task."""
    await services_of(request).tasks.stop(who, task_id)
    return LegacyOk()


@router.get("/agent_status", responses=problems(404), openapi_extra=ALSO_NOBODY)
async def agent_status(request: Request, task_id: OptionalId = None) -> LegacyStatus | LegacyOk:
    """Where a task stands; without one, that the server is there: nobody has to prove who they are for that."""
    if task_id is None:
        return LegacyOk()
    view = await services_of(request).tasks.get(await current_identity(request), task_id)
    return LegacyStatus(task_id=task_id, stage=view.task.stage, stage_status=stage_status(view))


router.add_api_route(
    "/tasks/{task_id}/stream", stream_task, methods=["GET"], response_class=EventStream, responses=STREAM
)
