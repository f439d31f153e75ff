"""The use cases of jobs that need no workflow: what an organisation's jobs work in, and by whom they are done."""

from dataclasses import dataclass

from pavo.accounts.secrets.service import SecretService
from pavo.jobs.agents.roster_service import RosterService
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.repositories.service import RepositoryService
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class FleetServices:
    """Repositories, remote agents and their tokens."""

    repositories: RepositoryService
    roster: RosterService
    tokens: AgentTokenService


def fleet_services(database: Database, secrets: SecretService) -> FleetServices:
    """All of them, on one database."""
    return FleetServices(RepositoryService(database, secrets), RosterService(database), AgentTokenService(database))
