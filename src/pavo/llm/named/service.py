"""Use cases of organisations' endpoints, and their one reader with a key: whoever asks models.

Who may keep them is decided before: the endpoints let owners of the organisation, the command line its operator. A key
is opened for each call, in the process that makes it: one that is set anew holds at once, and nothing keeps it.
"""

import uuid
from collections.abc import Sequence

from pavo.accounts.secrets.service import SecretService
from pavo.config import LlmSettings
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.kit.sql import Database
from pavo.llm.model_endpoints import Endpoint
from pavo.llm.named import repository
from pavo.llm.named.domain import (
    MAX_ENDPOINTS,
    EndpointValues,
    NamedEndpoint,
    checked_model,
    checked_name,
    checked_url,
)


class EndpointService:
    """Endpoints of organisations.

    Args:
        database: Pavo's database.
        secrets: what their keys are.
        settings: which addresses that are not public may be asked.
    """

    def __init__(self, database: Database, secrets: SecretService, settings: LlmSettings) -> None:
        self._database = database
        self._secrets = secrets
        self._allowed = settings.allowed_networks

    async def set(
        self, organisation_id: uuid.UUID, name: str, given: EndpointValues, by: uuid.UUID | None = None
    ) -> NamedEndpoint:
        """Set an endpoint, whether there was one of this name or not; it holds for every call that begins from now on.

        Args:
            by: the user who does; None: an operator.

        Raises:
            InvalidInput: a value is none, or there is no such secret.
            Conflict: there are as many as there may be.
        """
        checked_name(name)
        values = EndpointValues(checked_url(given.base_url, self._allowed), checked_model(given.model), given.secret)
        await self._check_secret(organisation_id, given.secret)
        async with self._database.transaction() as session:
            known = await repository.names(session, organisation_id, lock=True)
            if name not in known and len(known) >= MAX_ENDPOINTS:
                raise Conflict(f"There are {MAX_ENDPOINTS} endpoints, as many as there may be.", remedy="Remove one.")
            await repository.put(session, organisation_id, name, values, by)
            return (await repository.find(session, organisation_id, name))[0]

    async def _check_secret(self, organisation_id: uuid.UUID, name: str | None) -> None:
        if name is None or name in [each.name for each in await self._secrets.all_of(organisation_id)]:
            return
        remedy = "Set it first, as by: pavo secret set NAME. Or leave it out, where the server wants no key."
        raise InvalidInput(f"The organisation has no secret {name[:100]!r}.", field="secret", remedy=remedy)

    async def all_of(self, organisation_id: uuid.UUID) -> list[NamedEndpoint]:
        """The organisation's endpoints, by name."""
        async with self._database.reading() as session:
            return await repository.find(session, organisation_id)

    async def get(self, organisation_id: uuid.UUID, name: str) -> NamedEndpoint:
        """One of them.

        Raises:
            NotFound: there is none of this name.
        """
        async with self._database.reading() as session:
            found = await repository.find(session, organisation_id, name)
            known = await repository.names(session, organisation_id) if not found else ()
        if not found:
            raise _unknown(name, known)
        return found[0]

    async def remove(self, organisation_id: uuid.UUID, name: str) -> None:
        """Remove one; calls that name it are refused from now on, but for those that are recorded.

        Raises:
            NotFound: there is none of this name.
        """
        async with self._database.transaction() as session:
            if not await repository.remove(session, organisation_id, name):
                raise _unknown(name, await repository.names(session, organisation_id))

    async def opened(self, organisation_id: uuid.UUID, name: str) -> Endpoint:
        """An endpoint with its key, to ask it.

        Raises:
            NotFound: it, or its secret, is not there, or the secret cannot be sent.
            Unavailable: PostgreSQL is away, or no key of this process opens the secret.
        """
        found = await self.get(organisation_id, name)
        key = None if found.secret is None else await self._key(organisation_id, found, found.secret)
        remedy = f"Correct it: pavo endpoint set {name}{f', or pavo secret set {found.secret}' if key else ''}."
        return Endpoint(found.name, found.base_url, key, found.model, remedy, is_own=True)

    async def _key(self, organisation_id: uuid.UUID, endpoint: NamedEndpoint, secret: str) -> str:
        value = await self._secrets.value(organisation_id, secret)
        told = f"The endpoint {endpoint.name!r} sends the secret {secret!r}"
        remedy = f"Set it: pavo secret set {secret}. Or name another: pavo endpoint set {endpoint.name}."
        if value is None:
            raise NotFound(f"{told}, and the organisation has none of this name.", field="secret", remedy=remedy)
        key = value.strip()
        if not key or not key.isascii() or not key.isprintable():
            raise NotFound(f"{told}, which has characters that no header may have.", field="secret", remedy=remedy)
        return key


def _unknown(name: str, known: Sequence[str]) -> NotFound:
    told = f"There is no endpoint {name[:100]!r} in this organisation."
    if known:
        return NotFound(told, field="endpoint", remedy=f"Use one of these: {', '.join(known)}; or leave it out.")
    return NotFound(told, field="endpoint", remedy="Leave it out; or have an owner set it: pavo endpoint set NAME.")
