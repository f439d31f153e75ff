"""Use cases of agents' tokens. Who may make and end them is decided by the endpoints and the command line."""

import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from pavo.accounts.domain import hash_secret
from pavo.errors import Conflict, NotFound
from pavo.jobs.agents import token_repository as repository
from pavo.jobs.agents.tokens import (
    MAX_TOKEN,
    MAX_TOKENS,
    PREFIX,
    SHOWN_PREFIX,
    AgentGrant,
    AgentToken,
    CreatedAgentToken,
    checked_agent_name,
    checked_time,
    checked_token_name,
    new_agent_secret,
)
from pavo.kit.sql import Database, time_of

SHOWN_TOKENS: Final = 200
"""In a list; there is no end of those that were revoked or have expired."""


class AgentTokenService:
    """Tokens of an organisation's agents; with None in the organisation's place those of the operator's agents.

    Args:
        database: Pavo's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        organisation_id: uuid.UUID | None,
        name: str,
        *,
        agent: str | None = None,
        expires_in: timedelta | None = None,
        by: uuid.UUID | None = None,
    ) -> CreatedAgentToken:
        """A new token.

        Args:
            agent: the only name that it opens a session for; None: any.
            by: the user who does; None: an operator.

        Raises:
            InvalidInput: name, agent or time are none.
            Conflict: there are as many as there may be.
        """
        named, lasts = checked_token_name(name), checked_time(expires_in)
        only = None if agent is None else checked_agent_name(agent)
        secret = new_agent_secret()
        kept = {"name": named, "agent": only, "prefix": secret[:SHOWN_PREFIX], "hash": hash_secret(secret)}
        async with self._database.transaction() as session:
            if organisation_id is not None:
                await repository.lock(session, organisation_id)
            if await repository.count_live(session, organisation_id) >= MAX_TOKENS:
                raise Conflict(f"There are {MAX_TOKENS} tokens, as many as there may be.", remedy="Revoke one.")
            ends = None if lasts is None else await time_of(session) + lasts
            return CreatedAgentToken(await repository.add(session, organisation_id, kept, by, ends), secret)

    async def all_of(self, organisation_id: uuid.UUID | None) -> Sequence[AgentToken]:
        """The tokens, newest first: all that open something, and `SHOWN_TOKENS` in any case."""
        async with self._database.reading() as session:
            return await repository.all_of(session, organisation_id, SHOWN_TOKENS)

    async def revoke(self, organisation_id: uuid.UUID | None, token_id: uuid.UUID) -> None:
        """End a token: it opens no session any more, and gateways end those that it opened. Repeating changes nothing.

        Raises:
            NotFound: there is no such token.
        """
        async with self._database.transaction() as session:
            if not await repository.revoke(session, organisation_id, token_id):
                raise NotFound(
                    "There is no such token.", field="token_id", remedy="See them with: pavo agent token list"
                )

    async def opened(self, secret: str) -> AgentGrant | None:
        """What a secret opens at this moment, and note its use; None: it is unknown, revoked or expired."""
        if not secret.startswith(PREFIX) or len(secret) > MAX_TOKEN:
            return None
        async with self._database.transaction() as session:
            return await repository.opened(session, hash_secret(secret))

    async def still_open(self, token_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Which of these tokens are neither revoked nor expired: a gateway asks for those of its sessions."""
        if not token_ids:
            return set()
        async with self._database.reading() as session:
            return await repository.live(session, token_ids)
