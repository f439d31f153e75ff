"""What the command line asks the API about repositories, remote agents and their tokens."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from pavo.accounts.schemas import SessionView
from pavo.cli.api_client import ApiClient
from pavo.errors import NotFound
from pavo.jobs.agents.schemas import RemoteAgentList, RemoteAgentOut
from pavo.jobs.agents.token_schemas import AgentTokenList, AgentTokenOut, NewAgentTokenOut
from pavo.jobs.repositories.schemas import RepositoryList, RepositoryOut


class OrganisationClient:
    """One organisation's repositories, agents and tokens. Every method raises `PavoError`s as `ApiClient` does.

    Args:
        api: the connection.
        organisation_id: whose they are; None: the user's home.
    """

    def __init__(self, api: ApiClient, organisation_id: uuid.UUID | None = None) -> None:
        self.api = api
        self._organisation_id = organisation_id

    @classmethod
    @contextmanager
    def from_environment(
        cls, url: str | None = None, organisation_id: uuid.UUID | None = None
    ) -> Generator["OrganisationClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api, organisation_id)

    @property
    def organisation_id(self) -> uuid.UUID:
        """The organisation that is meant."""
        if self._organisation_id is None:
            self._organisation_id = self.api.ask(SessionView, "GET", "/api/session").organisation_id
        return self._organisation_id

    def path(self, *parts: str) -> str:
        """An address below the organisation's."""
        return "/".join((f"/api/orgs/{self.organisation_id}", *(quote(part, safe="") for part in parts)))

    def repositories(self) -> list[RepositoryOut]:
        """All, by name."""
        return self.api.ask(RepositoryList, "GET", self.path("repositories")).items

    def repository(self, reference: str) -> RepositoryOut:
        """The one with this name or id.

        Raises:
            NotFound: there is none.
        """
        found = [each for each in self.repositories() if reference in (each.name, str(each.id))]
        if not found:
            raise NotFound(f"There is no repository {reference!r}.", field="REPOSITORY", remedy="See: pavo repo list")
        return found[0]

    def add_repository(self, values: dict[str, Any]) -> RepositoryOut:
        """Add one. Sent once: a second one would find its name taken."""
        answer = self.api.send_once("POST", self.path("repositories"), json=values)
        return RepositoryOut.model_validate_json(answer.content)

    def edit_repository(self, repository_id: uuid.UUID, changes: dict[str, Any]) -> RepositoryOut:
        """Change what is given."""
        return self.api.ask(RepositoryOut, "PATCH", self.path("repositories", str(repository_id)), json=changes)

    def remove_repository(self, repository_id: uuid.UUID) -> None:
        """Remove one."""
        self.api.remove(self.path("repositories", str(repository_id)))

    def agents(self) -> list[RemoteAgentOut]:
        """Those that serve the organisation."""
        return self.api.ask(RemoteAgentList, "GET", self.path("agents")).items

    def agent(self, name: str) -> RemoteAgentOut:
        """The one with this name."""
        return self.api.ask(RemoteAgentOut, "GET", self.path("agents", name))

    def drain(self, name: str, *, wanted: bool) -> RemoteAgentOut:
        """Have it take nothing new, or jobs again."""
        return self.api.ask(RemoteAgentOut, "POST", self.path("agents", name, "drain" if wanted else "undrain"))

    def remove_agent(self, name: str) -> None:
        """Forget one."""
        self.api.remove(self.path("agents", name))

    def tokens(self) -> list[AgentTokenOut]:
        """The organisation's tokens for agents, newest first."""
        return self.api.ask(AgentTokenList, "GET", self.path("agent-tokens")).items

    def create_token(self, name: str, agent: str | None, seconds: int | None) -> NewAgentTokenOut:
        """A new one. Sent once: each time makes another."""
        body = {"name": name, "agent": agent, "expires_in_seconds": seconds}
        answer = self.api.send_once("POST", self.path("agent-tokens"), json=body)
        return NewAgentTokenOut.model_validate_json(answer.content)

    def revoke_token(self, token_id: uuid.UUID) -> None:
        """End one; done twice it changes nothing more."""
        self.api.remove(self.path("agent-tokens", str(token_id)))
