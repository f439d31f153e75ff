"""The use cases of jobs that need no workflow: what jobs work in, by whom they are done, how they are looked at."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.asyncio import Redis

from pavo.accounts.secrets.service import SecretService
from pavo.jobs.agents.roster_service import RosterService
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.live.changes import ChangeService
from pavo.jobs.logs.feed import LogFeed
from pavo.jobs.logs.service import JobLogService
from pavo.jobs.repositories.service import RepositoryService
from pavo.jobs.requests.service import JobViews
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class FleetServices:
    """Repositories, remote agents and their tokens; jobs and their logs as people see them."""

    repositories: RepositoryService
    roster: RosterService
    tokens: AgentTokenService
    views: JobViews
    logs: JobLogService
    feed: LogFeed
    """Ends what follows logs and changes when this process ends."""
    changes: ChangeService


def fleet_services(
    database: Database, redis: Redis, secrets: SecretService, currency: str, closing: AsyncExitStack
) -> FleetServices:
    """All of them, on one database and the running event loop."""
    feed = LogFeed(redis)
    feed.start()
    closing.push_async_callback(feed.close)
    return FleetServices(
        RepositoryService(database, secrets),
        RosterService(database),
        AgentTokenService(database),
        JobViews(database, currency),
        JobLogService(database, feed),
        feed,
        ChangeService(database),
    )
