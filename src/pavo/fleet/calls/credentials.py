"""Secrets of an organisation for one attempt at one of its jobs, and for the repository's own host alone."""

import uuid
from typing import Final
from urllib.parse import urlsplit

from pavo.accounts.secrets.service import SecretService
from pavo.errors import Conflict, Forbidden
from pavo.fleet.calls.model_tokens import ModelTokens, gone
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import Asking, HeldJob
from pavo.jobs.late import repository as late_work
from pavo.jobs.sql.access import RepositoryAccess, repository_access
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb

GIT: Final = "git"
FORGE: Final = "forge"
MODEL: Final = "model"
_PORTS: Final = {"http": 80, "https": 443}


class Credentials:
    """Belongs to one event loop."""

    def __init__(self, database: Database, secrets: SecretService, models: ModelTokens) -> None:
        self._database, self._secrets, self._models = database, secrets, models

    async def of(self, who: Asking, held: HeldJob, purpose: str, host: str, branch: str = "") -> pb.CredentialReply:
        """What an agent shows to git's host, to the forge, or to the model gateway. An attempt that lost its job, and
        owes what it has changed, is given it for a push to its fenced branch, and for nothing else.

        Args:
            host: that asks for it, with its port where that is not the usual one; empty where it is the forge's.
            branch: that is to be pushed to; empty: git only fetches.

        Raises:
            Forbidden: the attempt is not of this token's agents, another program runs as its agent, the host is not the
                repository's, or the branch is none that the attempt may push to.
            Conflict: the attempt does not hold its job, or the secret is not there.
            Unavailable: PostgreSQL is away, or no key opens the secret.
        """
        found = await self._access(who, held, purpose, branch)
        if purpose == MODEL:
            return await self._models.give(who.grant, held)
        if purpose not in (GIT, FORGE):
            raise Conflict(f"There are no credentials for {purpose[:40]!r}.", field="purpose", remedy="Ask for git.")
        if branch and (purpose != GIT or branch not in found.branches):
            raise _wrong_branch(found, branch)
        if not is_for(found, purpose, host):
            raise Forbidden(
                f"{host[:100]!r} is not the host of this job's repository.",
                field="host",
                remedy="Correct the repository's clone_url, or its forge_url.",
            )
        if found.credential is None:
            return pb.CredentialReply(push_branch=branch)
        value = await self._value(found.organisation_id, found.credential)
        return pb.CredentialReply(username=found.username, password=value, push_branch=branch)

    async def _value(self, organisation_id: uuid.UUID, name: str) -> str:
        value = await self._secrets.value(organisation_id, name)
        if value is None:
            raise Conflict(
                f"The organisation has no secret {name!r}, which its repository names.",
                field="credential",
                remedy=f"Set it: pavo secret set {name}",
            )
        return value

    async def _access(self, who: Asking, held: HeldJob, purpose: str, branch: str) -> RepositoryAccess:
        async with self._database.reading() as reading:
            await sessions.owner_of(reading, who, held)
            found = await repository_access(reading, held)
            if found is not None:
                return found
            late = await late_work.access(reading, held.job_id, held.epoch)
        if late is None or purpose != GIT or branch not in late.branches:
            raise gone()
        return late


def _wrong_branch(found: RepositoryAccess, branch: str) -> Forbidden:
    detail = f"This attempt may push to {found.branches[0]} alone, not to {branch[:200]!r}."
    return Forbidden(detail, field="branch", remedy="Push to that one; upgrade the agent program.")


def is_for(access: RepositoryAccess, purpose: str, host: str) -> bool:
    """Whether the credential may be shown to this host."""
    clone, forge = _host(access.clone_url), _host(access.forge_url)
    if purpose == GIT:
        return _asked(host, access.clone_url) == clone
    return not host or _asked(host, access.forge_url or access.clone_url) in (clone, forge)


def _host(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.hostname.lower(), port) if parts.hostname else None


def _asked(host: str, like: str) -> tuple[str, int] | None:
    """A host as git names it, with the usual port of this URL's scheme where it names none."""
    return _host(f"{urlsplit(like).scheme or 'https'}://{host}") if not set(host) & set("/@?#\\") else None
