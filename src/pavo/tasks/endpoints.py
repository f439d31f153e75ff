"""HTTP of tasks: parse, call one service method, return. Routes get the use cases, and the task of their path, from
`dependencies`."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from pavo.accounts.dependencies import Caller
from pavo.artifacts.http import ANSWERS, Download, download
from pavo.artifacts.schemas import ArtifactPage
from pavo.artifacts.service import MAX_PAGE
from pavo.errors import NotFound
from pavo.kit.problem import problems
from pavo.tasks.dependencies import (
    OwnTask,
    TheArtifacts,
    TheConversation,
    TheReview,
    TheTasks,
    WatchedTask,
    use_cases,
)
from pavo.tasks.review import DOCUMENTS_OF_A_PAGE, MAX_FEEDBACK_ITEMS
from pavo.tasks.schemas import (
    AcceptIn,
    AnswerOut,
    DocumentList,
    DocumentOut,
    FeedbackEdit,
    FeedbackIn,
    FeedbackOut,
    FeedbackPage,
    MessageIn,
    MessageOut,
    ReceiptOut,
    ReviewedIn,
    StartOut,
    StopOut,
    TaskCreate,
    TaskEdit,
    TaskIds,
    TaskLogChunk,
    TaskLogPage,
    TaskOut,
    TaskOutcomes,
    TaskPage,
    Wanted,
)
from pavo.tasks.wire.conditional import json_unless_seen
from pavo.tasks.wire.event_schemas import TaskEvent, TaskEventPage
from pavo.tasks.wire.presenters import (
    document_out,
    feedback_out,
    feedback_page,
    listed_task,
    message_out,
    outcomes,
    stop_out,
    task_out,
)
from pavo.timeline.http import (
    After,
    EventLimit,
    EventStream,
    Position,
    TheWatching,
    Until,
    WantsDeltas,
    events_page,
    stream_answers,
    stream_or_no_content,
)
from pavo.transcripts.schemas import TranscriptPage, TranscriptQuery, page_of

router = APIRouter(prefix="/api/tasks", tags=["tasks"], responses=problems(401, 422))
LOCATION = {"Location": {"description": "Where the task is.", "required": True, "schema": {"type": "string"}}}
STREAM = stream_answers("task", TaskEvent.__name__)


@router.post(
    "",
    status_code=201,
    responses={
        201: {"headers": LOCATION},
        200: {"model": TaskOut, "description": "Created before, with the same Idempotency-Key.", "headers": LOCATION},
        **problems(409),
    },
)
async def create_task(
    tasks: TheTasks,
    response: Response,
    who: Caller,
    new: TaskCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> TaskOut:
    """Create a task. With an Idempotency-Key the same request creates one task however often it is sent."""
    view, created = await tasks.create(who, new, idempotency_key)
    if not created:
        response.status_code = 200
    response.headers["Location"] = f"/api/tasks/{view.task.id}"
    return task_out(view)


@router.get("", response_model=TaskPage)
async def list_tasks(request: Request, tasks: TheTasks, who: Caller, wanted: Annotated[Wanted, Query()]) -> Response:
    """The organisation's tasks, newest first where no other order is wanted.

    The answer has an ETag: sent back in If-None-Match, it gets 304 and no body while nothing has changed.
    """
    page = await tasks.list(who, wanted)
    items = [listed_task(view) for view in page.items]
    found = TaskPage(items=items, next_cursor=page.next_cursor, total=page.total)
    return json_unless_seen(request, found.model_dump_json().encode())


@router.post("/stop")
async def stop_tasks(tasks: TheTasks, who: Caller, several: TaskIds) -> TaskOutcomes:
    """Stop several tasks: what became of each, whatever became of the others."""
    return outcomes(several.ids, await tasks.each(who, several.ids, tasks.stop))


@router.post("/delete")
async def delete_tasks(tasks: TheTasks, who: Caller, several: TaskIds) -> TaskOutcomes:
    """Stop several tasks and remove them: what became of each, whatever became of the others."""
    return outcomes(several.ids, await tasks.each(who, several.ids, tasks.delete))


@router.get("/{task_id}", response_model=TaskOut, responses=problems(404))
async def get_task(view: OwnTask) -> Response:
    """One task."""
    # Asked for more than anything else: written as it is, not checked against its own schema once more.
    return Response(task_out(view).model_dump_json(), media_type="application/json")


@router.patch("/{task_id}", responses=problems(404, 409))
async def edit_task(request: Request, tasks: TheTasks, who: Caller, view: OwnTask, change: TaskEdit) -> TaskOut:
    """Change title, prompt, options or limit of a task that is not started, stopped or failed.

    A changed prompt returns it to planning and review, for its plan was made from the former one; so does a changed
    title where there is no prompt. Plans of before stay in the record, and their checkpoints are not gone on from.
    """
    await use_cases(request).edit.edit(who, view.task.id, view.task.agent_type, change)
    return task_out(await tasks.get(who, view.task.id))


@router.post("/{task_id}/start", responses=problems(404, 409))
async def start_task(tasks: TheTasks, view: OwnTask) -> StartOut:
    """Start the task; twice at once starts it once."""
    started = await tasks.start(view)
    return StartOut(workflow_id=started.workflow_id, run_id=started.run_id, already_running=started.already_running)


@router.post("/{task_id}/resume", responses=problems(404, 409))
async def resume_task(tasks: TheTasks, view: OwnTask) -> StartOut:
    """Go on where the task was stopped or failed."""
    started = await tasks.resume(view)
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
async def stop_task(tasks: TheTasks, view: OwnTask) -> Response | ReceiptOut:
    """Stop the task. Once this has answered 200, no further step starts."""
    stopped = stop_out(await tasks.stop(view))
    return JSONResponse(stopped.model_dump(), 202) if isinstance(stopped, StopOut) else stopped


@router.delete("/{task_id}", status_code=204, responses=problems(404, 409))
async def delete_task(tasks: TheTasks, view: OwnTask) -> None:
    """Stop the task and remove it; its streams end."""
    await tasks.delete(view)


@router.post(
    "/{task_id}/messages",
    status_code=201,
    responses={
        200: {"model": MessageOut, "description": "Said before, with the same Idempotency-Key."},
        **problems(404, 409),
    },
)
async def say_to_task(
    conversation: TheConversation,
    response: Response,
    who: Caller,
    view: OwnTask,
    new: MessageIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> MessageOut:
    """Say something to the task, whatever it is at: `placed` tells where it was put.

    Before the start it is added to the prompt; while a plan is under review it is a comment on the whole plan; later it
    is an event of the timeline, which the agent reads. A task that is done goes on with it: its agent makes another
    plan, of what was done before and of what was said; it is reviewed, or accepted by the task's policy, and worked
    off. The timeline goes on after its last number.
    """
    said, new_one = await conversation.say(who, view, new.body, idempotency_key)
    if not new_one:
        response.status_code = 200
    return message_out(said)


@router.get("/{task_id}/documents", responses=problems(404))
async def list_documents(
    review: TheReview,
    view: OwnTask,
    before: Annotated[uuid.UUID | None, Query(description="`before` of the page with newer ones.")] = None,
    limit: Annotated[int, Query(ge=1, le=DOCUMENTS_OF_A_PAGE)] = DOCUMENTS_OF_A_PAGE,
) -> DocumentList:
    """The newest versions of the plan, and the report, oldest first. A page ends by 1 MB as well as by `limit`."""
    found, older = await review.documents(view.task.id, limit, before)
    items = [document_out(document) for document in found]
    return DocumentList(items=items, before=items[0].id if older else None)


@router.get("/{task_id}/documents/{document_id}", responses=problems(404))
async def get_document(review: TheReview, view: OwnTask, document_id: uuid.UUID) -> DocumentOut:
    """One document, with the first 1 MB of what was said about it."""
    return document_out(await review.document(view.task.id, document_id))


@router.get("/{task_id}/documents/{document_id}/feedback", responses=problems(404))
async def list_feedback(
    review: TheReview,
    view: OwnTask,
    document_id: uuid.UUID,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_FEEDBACK_ITEMS)] = MAX_FEEDBACK_ITEMS,
) -> FeedbackPage:
    """The comments on a document, oldest first. A page ends by 1 MB as well as by `limit`."""
    return feedback_page(await review.comments(view.task.id, document_id, limit, cursor))


@router.post("/{task_id}/documents/{document_id}/feedback", status_code=201, responses=problems(404, 409))
async def add_feedback(
    review: TheReview, who: Caller, view: OwnTask, document_id: uuid.UUID, new: FeedbackIn
) -> FeedbackOut:
    """Comment on the plan under review, or on one of its steps."""
    return feedback_out(await review.add_feedback(who, view.task.id, document_id, new.body, new.step))


@router.get("/{task_id}/documents/{document_id}/feedback/{feedback_id}", responses=problems(404))
async def get_feedback(review: TheReview, view: OwnTask, document_id: uuid.UUID, feedback_id: uuid.UUID) -> FeedbackOut:
    """One comment, as it is now: who follows the timeline reads by it what an event `feedback` tells of."""
    return feedback_out(await review.comment(view.task.id, document_id, feedback_id))


@router.patch("/{task_id}/documents/{document_id}/feedback/{feedback_id}", responses=problems(404, 409))
async def edit_feedback(
    review: TheReview, view: OwnTask, document_id: uuid.UUID, feedback_id: uuid.UUID, changed: FeedbackEdit
) -> FeedbackOut:
    """Change a comment while the plan is under review."""
    return feedback_out(await review.edit_feedback(view.task.id, document_id, feedback_id, changed.body))


@router.delete(
    "/{task_id}/documents/{document_id}/feedback/{feedback_id}", status_code=204, responses=problems(404, 409)
)
async def withdraw_feedback(review: TheReview, view: OwnTask, document_id: uuid.UUID, feedback_id: uuid.UUID) -> None:
    """Take a comment back, while the plan is under review."""
    await review.withdraw_feedback(view.task.id, document_id, feedback_id)


@router.post("/{task_id}/plan/done-reviewing", responses=problems(404, 409))
async def done_reviewing(
    review: TheReview, who: Caller, view: OwnTask, reviewed: ReviewedIn | None = None
) -> AnswerOut:
    """End the review: with feedback the agent revises the plan, without any the plan is accepted.

    Name the hash of the version that you reviewed: a second click then never answers the next one.
    """
    plan_hash = reviewed.hash if reviewed else None
    answer = await review.done_reviewing(who, view, plan_hash=plan_hash)
    return AnswerOut(outcome=answer.outcome, hash=answer.current_hash)


@router.post("/{task_id}/plan/accept", responses=problems(404, 409))
async def accept_plan(review: TheReview, who: Caller, view: OwnTask, accept: AcceptIn) -> AnswerOut:
    """Accept the plan with this hash, and only that."""
    answer = await review.accept(who, view, accept.hash, override=accept.override_feedback)
    return AnswerOut(outcome=answer.outcome, hash=answer.current_hash)


@router.get("/{task_id}/events", response_model=TaskEventPage, responses=problems(404))
async def list_events(watching: TheWatching, view: OwnTask, after: After = 0, limit: EventLimit = 200) -> Response:
    """The task's timeline after `after`, oldest first."""
    return events_page(await watching.events(view.task.id, after, limit))


@router.get("/{task_id}/stream", response_class=EventStream, responses=STREAM)
async def stream_task(
    watching: TheWatching, subject: WatchedTask, position: Position, until: Until = None, deltas: WantsDeltas = False
) -> Response:
    """The timeline as server-sent events: `id` is the seq; goes on after Last-Event-ID; 204 past the end."""
    found = await watching.stream(subject, position, until_rest=until == "end", deltas=deltas)
    return stream_or_no_content(found)


@router.get("/{task_id}/logs", responses=problems(404))
async def list_task_logs(
    tasks: TheTasks,
    view: OwnTask,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    bytes: Annotated[int, Query(ge=1, le=256_000, description="How many at most; one chunk in any case.")] = 64_000,
) -> TaskLogPage:
    """What the task's agent printed, its tracebacks too, after chunk `after`; the newest 2 MB are kept."""
    found = await tasks.log(view.task.id, after, bytes)
    items = [
        TaskLogChunk(id=chunk.id, at=chunk.at, attempt=chunk.attempt, text=chunk.body, after_gap=chunk.after_gap)
        for chunk in found
    ]
    return TaskLogPage(items=items, next=items[-1].id if items else after)


@router.get("/{task_id}/transcript", responses=problems(404))
async def read_task_transcript(
    tasks: TheTasks, view: OwnTask, wanted: Annotated[TranscriptQuery, Query()]
) -> TranscriptPage:
    """What the task's agent recorded of its conversation (`Step.messages`) in the task's whole life, in order."""
    found, count = await tasks.transcript(view.task.id, wanted.window)
    return page_of(found, count, wanted.after)


@router.get("/{task_id}/artifacts", responses=problems(404))
async def list_artifacts(
    artifacts: TheArtifacts,
    view: OwnTask,
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 200,
) -> ArtifactPage:
    """The task's files, by name."""
    return await artifacts.page(view.task.id, cursor, limit)


@router.get("/{task_id}/artifacts/{artifact:path}", response_class=Download, responses=ANSWERS)
async def get_artifact(
    request: Request, artifacts: TheArtifacts, watching: TheWatching, subject: WatchedTask, artifact: str
) -> Response:
    """The content of a file, by its id or name: the whole, or the part that `Range` names; always as a download."""
    if subject.deleted:
        raise NotFound(f"There is no task {subject.id}.", remedy="Look at GET /api/tasks.")
    answer = download(await artifacts.open(subject.id, artifact), request)
    if isinstance(answer, Download):
        watching.hold(answer, subject)
    return answer
