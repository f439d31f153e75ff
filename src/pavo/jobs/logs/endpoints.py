"""HTTP of jobs' logs: parse, call one service method, return."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from pavo.jobs.dependencies import OwnJob, TheLogs, WatchedJob
from pavo.jobs.logs.domain import Level, LogCursor, LogFilter
from pavo.jobs.logs.schemas import JobLogPage, page_out
from pavo.jobs.logs.service import MAX_PAGE
from pavo.jobs.logs.streams import LogStream, log_stream_answers
from pavo.kit.problem import problems
from pavo.kit.texts.fields import Text
from pavo.timeline.http import TheWatching

router = APIRouter(prefix="/api/jobs/{job_id}/logs", tags=["jobs"], responses=problems(401, 404, 422))

Place = Annotated[Text, Query(max_length=50, description="The id of the last line that is known, such as 1-250.")]
FromLevel = Annotated[Level, Query(description="This level and above.")]
OfStage = Annotated[Text | None, Query(max_length=20, description="Of this stage alone.")]
OfAttempt = Annotated[int | None, Query(ge=0, le=2**62, description="Of this attempt alone.")]


@router.get("", operation_id="list_job_logs")
async def list_job_logs(
    logs: TheLogs,
    job: OwnJob,
    after: Place = "",
    level: FromLevel = "debug",
    stage: OfStage = None,
    epoch: OfAttempt = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 200,
) -> JobLogPage:
    """Lines of the job's log after `after`, in order of attempt and line."""
    return page_out(await logs.page(job.id, LogCursor.parse(after), LogFilter(level, stage, epoch), limit))


@router.get("/stream", operation_id="stream_job_logs", response_class=LogStream, responses=dict(log_stream_answers()))
async def stream_job_logs(
    logs: TheLogs,
    watching: TheWatching,
    subject: WatchedJob,
    after: Place = "",
    level: FromLevel = "debug",
    stage: OfStage = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The log as server-sent events: `id` is a line's place; goes on after Last-Event-ID, until the job is over."""
    field = "Last-Event-ID" if last_event_id else "after"
    place = LogCursor.parse(last_event_id or after, field)
    found = None if subject.deleted else await logs.follow(subject.id, place, LogFilter(level, stage))
    if found is None:
        return Response(status_code=204)
    watching.hold(found, subject)
    return LogStream(found)
