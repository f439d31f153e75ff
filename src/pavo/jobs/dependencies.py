"""What endpoints of jobs are handed: the use cases, and the job of their path."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.jobs.agents.roster_service import RosterService
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.fleet_services import FleetServices
from pavo.jobs.repositories.service import RepositoryService


def _fleet(request: Request) -> FleetServices:
    """Those that `api.create_app` put on the application."""
    found: FleetServices = request.app.state.fleet
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _repositories(request: Request) -> RepositoryService:
    return _fleet(request).repositories


async def _roster(request: Request) -> RosterService:
    return _fleet(request).roster


async def _tokens(request: Request) -> AgentTokenService:
    return _fleet(request).tokens


TheRepositories = Annotated[RepositoryService, Depends(_repositories)]
TheRoster = Annotated[RosterService, Depends(_roster)]
TheAgentTokens = Annotated[AgentTokenService, Depends(_tokens)]
