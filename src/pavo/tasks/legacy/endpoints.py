"""The contract of the frontends that exist: thin routes over the same services, so that their pages work unchanged."""

import contextlib
import uuid
from typing import Annotated

from fastapi import APIRouter, Header

from pavo.accounts.dependencies import Caller
from pavo.errors import BadRequest, WrongStage
from pavo.kit.problem import problems
from pavo.tasks import domain as d
from pavo.tasks.dependencies import OwnTask, TheConversation, TheReview, TheTasks
from pavo.tasks.endpoints import STREAM, stream_task
from pavo.tasks.legacy.dependencies import AskedTask, Named, Visitor
from pavo.tasks.legacy.schemas import (
    LegacyAction,
    LegacyBody,
    LegacyCreate,
    LegacyCreated,
    LegacyFeedback,
    LegacyMe,
    LegacyMessage,
    LegacyOk,
    LegacyStarted,
    LegacyStatus,
    LegacyTask,
)
from pavo.tasks.schemas import TaskCreate, Wanted
from pavo.tasks.wire.presenters import stage_status
from pavo.timeline.http import EventStream

router = APIRouter(tags=["existing frontends"], responses=problems(401, 422))
NEWEST = 50
ALSO_NOBODY: dict[str, list[dict[str, list[str]]]] = {"security": [{}]}
"""Some answer for those who do not say who they are."""


@router.get("/me_v2", responses=problems(400), openapi_extra=ALSO_NOBODY)
async def me(tasks: TheTasks, who: Visitor) -> LegacyMe:
    """Who I am, and my newest tasks."""
    if who is None:
        return LegacyMe(user_id=None, email=None, tasks=[])
    page = await tasks.list(who, Wanted(limit=NEWEST))
    newest = [
        LegacyTask(
            id=view.task.id,
            title=view.task.title,
            agent_type=view.task.agent_type,
            stage=view.task.stage,
            stage_status=stage_status(view),
        )
        for view in page.items
    ]
    return LegacyMe(user_id=who.user_id, email=who.email, tasks=newest)


@router.post("/create_task_id", responses=problems(400))
async def create(tasks: TheTasks, who: Named, new: LegacyCreate) -> LegacyCreated:
    """Create a task; it starts with its first message."""
    view, _ = await tasks.create(who, TaskCreate(title=new.title, agent_type=new.agent_type))
    return LegacyCreated(task_id=view.task.id, workflow_id=view.task.workflow_id)


@router.post("/tasks/{task_id}/message", response_model_exclude_unset=True, responses=problems(404, 409))
async def message(
    tasks: TheTasks,
    conversation: TheConversation,
    who: Caller,
    view: OwnTask,
    new: LegacyMessage | None = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> LegacyStarted:
    """Say the text, if there is one, to the task (`POST /api/tasks/{id}/messages`); then start or resume it."""
    if view.task.stage == d.DONE:
        return LegacyStarted(workflow_id=view.task.workflow_id, already_running=True)
    if new is not None and (text := (new.text or "").strip()):
        # Before the start, so that the plan is made of it. One that was done meanwhile is answered as below.
        with contextlib.suppress(WrongStage):
            await conversation.say(who, view, text, idempotency_key)
    command = tasks.resume if view.task.stage in d.RESUMABLE else tasks.start
    try:
        started = await command(view)
    except WrongStage:
        # It changed while the run of before was ending: whatever it does now, it was started.
        return LegacyStarted(workflow_id=view.task.workflow_id, already_running=True)
    if started.already_running:
        return LegacyStarted(workflow_id=started.workflow_id, already_running=True)
    return LegacyStarted(workflow_id=started.workflow_id, started=True)


@router.post("/tasks/{task_id}/accept_rfc", responses=problems(404, 409))
async def accept_rfc(review: TheReview, who: Caller, view: OwnTask) -> LegacyOk:
    """Accept the latest plan."""
    await review.accept_latest(who, view)
    return LegacyOk()


@router.post("/tasks/{task_id}/document/{document_id}/feedback/add", responses=problems(404, 409))
async def add_feedback(
    review: TheReview, who: Caller, view: OwnTask, document_id: uuid.UUID, new: LegacyBody
) -> LegacyFeedback:
    """Comment on the plan."""
    comment = await review.add_feedback(who, view.task.id, document_id, new.body)
    return LegacyFeedback(feedback_id=comment.feedback.id)


@router.post("/tasks/{task_id}/document/{document_id}/feedback/{feedback_id}/update", responses=problems(404, 409))
async def update_feedback(
    review: TheReview, view: OwnTask, document_id: uuid.UUID, feedback_id: uuid.UUID, new: LegacyBody
) -> LegacyOk:
    """Change a comment."""
    await review.edit_feedback(view.task.id, document_id, feedback_id, new.body)
    return LegacyOk()


@router.post("/tasks/{task_id}/document/{document_id}/status", responses=problems(400, 404, 409))
async def document_status(
    review: TheReview, who: Caller, view: OwnTask, document_id: uuid.UUID, change: LegacyAction
) -> LegacyOk:
    """Say that the review is done."""
    if change.action != "done_reviewing":
        raise BadRequest(
            f"There is no action {change.action!r}.", field="action", remedy='Send {"action": "done_reviewing"}.'
        )
    await review.done_reviewing(who, view, document_id=document_id)
    return LegacyOk()


@router.post("/tasks/{task_id}/force-stop", responses=problems(404, 409))
async def force_stop(tasks: TheTasks, view: OwnTask) -> LegacyOk:
    """Stop the task."""
    await tasks.stop(view)
    return LegacyOk()


@router.get("/agent_status", responses=problems(404), openapi_extra=ALSO_NOBODY)
async def agent_status(view: AskedTask) -> LegacyStatus | LegacyOk:
    """Where a task stands; without one, that the server is there: nobody has to prove who they are for that."""
    if view is None:
        return LegacyOk()
    return LegacyStatus(task_id=view.task.id, stage=view.task.stage, stage_status=stage_status(view))


router.add_api_route(
    "/tasks/{task_id}/stream", stream_task, methods=["GET"], response_class=EventStream, responses=STREAM
)
