"""HTTP of jobs: parse, call one service method, return."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from pavo.accounts.dependencies import Caller, OwnOrganisation
from pavo.artifacts.http import ANSWERS, Download, download
from pavo.artifacts.schemas import ArtifactPage
from pavo.artifacts.service import MAX_PAGE as MAX_ARTIFACTS
from pavo.errors import NotFound
from pavo.jobs.dependencies import (
    OwnJob,
    TheArtifacts,
    TheJobs,
    TheQueue,
    TheSubmission,
    TheViews,
    WatchedJob,
)
from pavo.jobs.requests.domain import WantedJobs, stages_of
from pavo.jobs.requests.event_schemas import JobEvent, JobEventPage
from pavo.jobs.requests.queue_schemas import PlaceOut
from pavo.jobs.requests.schemas import (
    AdoptIn,
    CancelReceiptOut,
    JobCommandOut,
    JobCommandPage,
    JobCreate,
    JobOut,
    JobPage,
    JobWorkflowOut,
    MoveIn,
    ReworkIn,
    WorkflowStatusOut,
    error_members,
    job_out,
    job_page,
)
from pavo.kit.problem import problems
from pavo.kit.texts.fields import Text
from pavo.timeline.http import (
    After,
    EventLimit,
    EventStream,
    Position,
    TheWatching,
    Until,
    events_page,
    stream_answers,
    stream_or_no_content,
)

router = APIRouter(tags=["jobs"], responses=problems(401, 404, 422))
OF_ORGANISATION = "/api/orgs/{organisation_id}/jobs"
ONE = "/api/jobs/{job_id}"
LOCATION = {"Location": {"description": "Where the job is.", "required": True, "schema": {"type": "string"}}}


@router.post(
    OF_ORGANISATION,
    status_code=201,
    operation_id="submit_job",
    responses={
        201: {"headers": LOCATION},
        200: {"model": JobOut, "description": "Submitted before, with the same Idempotency-Key.", "headers": LOCATION},
        **problems(409),
    },
)
async def submit_job(
    submission: TheSubmission,
    response: Response,
    who: Caller,
    mine: OwnOrganisation,
    new: JobCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> JobOut:
    """Queue a job: a free agent that has its labels and program gets it at once.

    With an Idempotency-Key the same request submits one job however often it is sent.
    """
    job, created = await submission.submit(who, mine.organisation_id, new, idempotency_key)
    if not created:
        response.status_code = 200
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job_out(job)


@router.get(OF_ORGANISATION, operation_id="list_jobs")
async def list_jobs(
    views: TheViews,
    mine: OwnOrganisation,
    stage: Annotated[
        Text | None, Query(max_length=200, description="In these stages; running and over name several.")
    ] = None,
    repository: Annotated[Text | None, Query(max_length=100, description="Of this one, by name or id.")] = None,
    q: Annotated[Text | None, Query(max_length=200, description="In the title, or an end of the id.")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """The organisation's jobs, newest first."""
    wanted = WantedJobs(stages_of(stage), repository, q)
    return job_page(await views.page(mine.organisation_id, wanted, cursor, limit))


@router.get(ONE, operation_id="get_job")
async def get_job(job: OwnJob) -> JobOut:
    """One job, with its attempts."""
    return job_out(job)


@router.post(f"{ONE}/cancel", operation_id="cancel_job", responses=problems(409))
async def cancel_job(jobs: TheJobs, who: Caller, job: OwnJob) -> CancelReceiptOut:
    """Cancel a job: one that waits at once, one in progress with all that runs for it at its agent."""
    return CancelReceiptOut.model_validate(await jobs.cancel(who, job.id))


@router.delete(ONE, operation_id="cancel_and_end_job", responses=problems(409))
async def cancel_and_end_job(jobs: TheJobs, who: Caller, job: OwnJob) -> CancelReceiptOut:
    """The same as cancel: its record stays."""
    return CancelReceiptOut.model_validate(await jobs.cancel(who, job.id))


@router.post(f"{ONE}/requeue", operation_id="requeue_job", responses=problems(409))
async def requeue_job(jobs: TheJobs, views: TheViews, who: Caller, job: OwnJob) -> JobOut:
    """Queue a job again that failed or was cancelled, with all its attempts before it; one that waits stays."""
    await jobs.requeue(who, job.id)
    return job_out(await views.get(who, job.id))


@router.post(f"{ONE}/rework", operation_id="rework_job", responses=problems(409))
async def rework_job(jobs: TheJobs, views: TheViews, who: Caller, job: OwnJob, review: ReworkIn) -> JobOut:
    """Put a job in front of the backlog, to answer a review on the same branch."""
    await jobs.rework(who, job.id, review.body)
    return job_out(await views.get(who, job.id))


@router.post(f"{ONE}/adopt", operation_id="adopt_attempt", responses=problems(409))
async def adopt_attempt(jobs: TheJobs, views: TheViews, who: Caller, job: OwnJob, which: AdoptIn) -> JobOut:
    """Take over what a lost attempt has done after all: the next one moves the job's branch there, and publishes."""
    await jobs.adopt(who, job.id, which.epoch)
    return job_out(await views.get(who, job.id))


@router.post(f"{ONE}/remove", status_code=204, operation_id="remove_job", responses=problems(409))
async def remove_job(jobs: TheJobs, who: Caller, job: OwnJob) -> None:
    """Remove a job that is over, with its log, attempts and files; its streams end."""
    await jobs.remove(who, job.id)


@router.post(f"{ONE}/decline", operation_id="decline_attempt", responses=problems(409))
async def decline_attempt(jobs: TheJobs, views: TheViews, who: Caller, job: OwnJob, which: AdoptIn) -> JobOut:
    """Give up what a lost attempt has changed and its agent has not pushed yet: it is removed there."""
    await jobs.decline(who, job.id, which.epoch)
    return job_out(await views.get(who, job.id))


@router.post(f"{ONE}/reprioritise", operation_id="reprioritise_job", responses=problems(409))
async def reprioritise_job(queue: TheQueue, who: Caller, job: OwnJob, place: MoveIn) -> PlaceOut:
    """Give a job that waits another position or another priority; the others keep their order."""
    moved = await queue.move(job.organisation_id, job.id, who.email, position=place.position, priority=place.priority)
    return PlaceOut.model_validate(moved)


@router.get(f"{ONE}/workflow-status", operation_id="job_workflow_status")
async def job_workflow_status(jobs: TheJobs, who: Caller, job: OwnJob) -> WorkflowStatusOut:
    """What Temporal knows of the newest attempt: status, run, what is pending, attempts, last failure."""
    found = await jobs.workflow_status(who, job.id)
    workflow = None if found.workflow is None else JobWorkflowOut.model_validate(found.workflow)
    return WorkflowStatusOut.model_validate(
        {
            "job_id": found.job_id,
            "stage": found.stage,
            "epoch": found.epoch,
            "attempts": found.attempts,
            "max_attempts": found.max_attempts,
            "error": error_members(found.error),
            "workflow": workflow,
        }
    )


@router.get(f"{ONE}/commands", operation_id="list_job_commands")
async def list_job_commands(
    views: TheViews,
    job: OwnJob,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="So many are known already.")] = 0,
    limit: Annotated[int, Query(ge=1, le=20)] = 20,
) -> JobCommandPage:
    """What the job's agents were told to do, and what they answered, in order."""
    found = await views.commands(job.id, after, limit + 1)
    items = [JobCommandOut.model_validate(each) for each in found[:limit]]
    return JobCommandPage(items=items, next=after + limit if len(found) > limit else None)


@router.get(f"{ONE}/events", operation_id="list_job_events", response_model=JobEventPage)
async def list_job_events(watching: TheWatching, job: OwnJob, after: After = 0, limit: EventLimit = 200) -> Response:
    """The job's timeline after `after`, oldest first."""
    return events_page(await watching.events(job.id, after, limit))


@router.get(
    f"{ONE}/stream",
    operation_id="stream_job",
    response_class=EventStream,
    responses=stream_answers("job", JobEvent.__name__),
)
async def stream_job(watching: TheWatching, subject: WatchedJob, position: Position, until: Until = None) -> Response:
    """The timeline as server-sent events: `id` is the seq; goes on after Last-Event-ID."""
    return stream_or_no_content(await watching.stream(subject, position, until_rest=until == "end"))


@router.get(f"{ONE}/artifacts", operation_id="list_job_artifacts")
async def list_job_artifacts(
    artifacts: TheArtifacts,
    job: OwnJob,
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_ARTIFACTS)] = 200,
) -> ArtifactPage:
    """The job's files, by name: the patch, the report; those of attempts before the newest below epoch-N/."""
    return await artifacts.page(job.id, cursor, limit)


@router.get(
    f"{ONE}/artifacts/{{artifact:path}}", operation_id="get_job_artifact", response_class=Download, responses=ANSWERS
)
async def get_job_artifact(
    request: Request, artifacts: TheArtifacts, watching: TheWatching, subject: WatchedJob, artifact: str
) -> Response:
    """The content of a file, by its id or name: the whole, or the part that `Range` names; always as a download."""
    if subject.deleted:
        raise NotFound(f"There is no job {subject.id}.", remedy="Look at your organisation's jobs.")
    answer = download(await artifacts.open(subject.id, artifact, "job"), request)
    if isinstance(answer, Download):
        watching.hold(answer, subject)
    return answer
