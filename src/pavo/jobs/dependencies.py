"""What endpoints of jobs are handed: the use cases, and the job of their path."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller, StreamCaller
from pavo.artifacts.service import ArtifactService
from pavo.jobs.agents.roster_service import RosterService
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.fleet_services import FleetServices
from pavo.jobs.live.changes import ChangeService
from pavo.jobs.logs.feed import LogFeed
from pavo.jobs.logs.service import JobLogService
from pavo.jobs.queue.service import QueueService
from pavo.jobs.repositories.service import RepositoryService
from pavo.jobs.requests.domain import JobView
from pavo.jobs.requests.service import JobViews
from pavo.jobs.requests.submission import JobSubmission
from pavo.jobs.service import JobService
from pavo.jobs.use_cases import JobUseCases
from pavo.timeline.domain import Subject


def _fleet(request: Request) -> FleetServices:
    """Those that `api.create_app` put on the application."""
    found: FleetServices = request.app.state.fleet
    return found


def _use_cases(request: Request) -> JobUseCases:
    found: JobUseCases = request.app.state.services["job"]
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _repositories(request: Request) -> RepositoryService:
    return _fleet(request).repositories


async def _roster(request: Request) -> RosterService:
    return _fleet(request).roster


async def _tokens(request: Request) -> AgentTokenService:
    return _fleet(request).tokens


async def _views(request: Request) -> JobViews:
    return _fleet(request).views


async def _logs(request: Request) -> JobLogService:
    return _fleet(request).logs


async def _feed(request: Request) -> LogFeed:
    return _fleet(request).feed


async def _changes(request: Request) -> ChangeService:
    return _fleet(request).changes


async def _jobs(request: Request) -> JobService:
    return _use_cases(request).jobs


async def _submission(request: Request) -> JobSubmission:
    return _use_cases(request).submission


async def _queue(request: Request) -> QueueService:
    return _use_cases(request).queue


async def _artifacts(request: Request) -> ArtifactService:
    return request.app.state.artifacts


async def own_job(request: Request, who: Caller, job_id: uuid.UUID) -> JobView:
    """The job of the path.

    Raises:
        NotFound: unknown, deleted, or not theirs.
    """
    return await _fleet(request).views.get(who, job_id)


async def watched_job(request: Request, who: StreamCaller, job_id: uuid.UUID) -> Subject:
    """The job of the path as the subject of a stream, deleted or not.

    Raises:
        NotFound: unknown, or not theirs.
    """
    return await _fleet(request).views.watched(who, job_id)


TheRepositories = Annotated[RepositoryService, Depends(_repositories)]
TheRoster = Annotated[RosterService, Depends(_roster)]
TheAgentTokens = Annotated[AgentTokenService, Depends(_tokens)]
TheViews = Annotated[JobViews, Depends(_views)]
TheLogs = Annotated[JobLogService, Depends(_logs)]
TheLogFeed = Annotated[LogFeed, Depends(_feed)]
TheChanges = Annotated[ChangeService, Depends(_changes)]
TheJobs = Annotated[JobService, Depends(_jobs)]
TheSubmission = Annotated[JobSubmission, Depends(_submission)]
TheQueue = Annotated[QueueService, Depends(_queue)]
TheArtifacts = Annotated[ArtifactService, Depends(_artifacts)]
OwnJob = Annotated[JobView, Depends(own_job)]
WatchedJob = Annotated[Subject, Depends(watched_job)]
