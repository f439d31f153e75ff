"""WebSockets of a job and of an organisation: parse, hand the sources over."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from pavo.accounts.dependencies import Caller, OwnOrganisation
from pavo.accounts.domain import Grant
from pavo.errors import InvalidInput, NotFound
from pavo.jobs.dependencies import TheChanges, TheLogFeed, TheLogs, WatchedJob
from pavo.jobs.live.cursors import ChangeCursor, JobCursor
from pavo.jobs.live.job_source import JobSource
from pavo.jobs.live.organisation_source import OrganisationSource
from pavo.jobs.live.sockets import Socket, accepted
from pavo.jobs.logs.domain import Level, LogFilter
from pavo.kit.texts.fields import Text
from pavo.timeline.domain import Subject
from pavo.timeline.http import TheWatching

router = APIRouter(tags=["jobs"], include_in_schema=False)
"""OpenAPI describes no WebSockets; the guide of jobs does."""
Place = Annotated[Text, Query(max_length=200)]


@router.get("/api/jobs/{job_id}/ws", operation_id="job_socket")
async def job_socket(
    request: Request, logs: TheLogs, watching: TheWatching, subject: WatchedJob, after: Place = ""
) -> Socket:
    """Events and lines of a job, as they come: goes on after the cursor of a message."""
    accept, cursor = accepted(request), JobCursor.parse(after)
    if subject.deleted:
        raise NotFound(f"There is no job {subject.id}.", remedy="Look at your organisation's jobs.")
    source = JobSource(watching, logs, subject, cursor)
    socket = Socket(accept, [source.events, source.lines])
    watching.hold(socket, subject)
    return socket


@router.get("/api/orgs/{organisation_id}/ws", operation_id="organisation_socket")
async def organisation_socket(
    request: Request,
    changes: TheChanges,
    feed: TheLogFeed,
    watching: TheWatching,
    who: Caller,
    mine: OwnOrganisation,
    after: Place = "",
    *,
    logs: bool = False,
    level: Annotated[Level | None, Query()] = None,
) -> Socket:
    """The organisation's jobs and its queue as they change, with `logs` the lines of their logs too, of `level` and
    above: goes on after the cursor of a message."""
    accept, cursor = accepted(request), ChangeCursor.parse(after)
    if level is not None and not logs:
        raise InvalidInput("A level is one of lines, and none are wanted.", field="level", remedy="Add logs=true.")
    lines = LogFilter(level or "debug") if logs else None
    source = OrganisationSource(changes, feed, mine.organisation_id, cursor, lines)
    socket = Socket(accept, [source.tell])
    grant = Grant("queue", mine.organisation_id, mine.organisation_id, who)
    watching.hold(socket, Subject(mine.organisation_id, grant=grant))
    return socket
