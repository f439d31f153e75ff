"""Use cases of one's own API tokens, and how a token is made. An operator's are in `service`."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts import repository
from pavo.accounts.domain import SHOWN_PREFIX, Identity, TokenInfo, hash_secret, new_secret
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.kit.sql import Database, time_of

MAX_NAME: Final = 200
"""Characters of a token's name."""

MAX_TOKENS: Final = 100
"""Tokens of one user that open something; more are a program that makes one at each start."""

SHOWN_TOKENS: Final = 200
"""In a list; there is no end of those that were revoked or have expired."""


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token and its secret, which is shown this once and cannot be read again."""

    token: TokenInfo
    secret: str


class OwnTokenService:
    """One's own API tokens.

    Args:
        database: Pavo's database.
        forget: called after a revocation, so that the token is not believed any more.
    """

    def __init__(self, database: Database, forget: Callable[[], None]) -> None:
        self._database = database
        self._forget = forget

    async def create(self, who: Identity, name: str, expires_in: timedelta | None) -> CreatedToken:
        """A new token. It expires with the one that made it at the latest, so that one which was handed out for a
        while, or leaked, opens nothing for longer.

        Raises:
            InvalidInput: the name or the time is none.
            Conflict: one has as many as one may.
        """
        async with self._database.transaction() as session:
            ends = (await end_of_token(session, expires_in), who.token_expires_at)
            if await repository.count_live_tokens(session, who.user_id) >= MAX_TOKENS:
                raise Conflict(f"You have {MAX_TOKENS} tokens, as many as you may.", remedy="Revoke one.")
            return await add_token(session, who, name, min((end for end in ends if end is not None), default=None))

    async def mine(self, who: Identity) -> Sequence[TokenInfo]:
        """One's tokens, newest first: all that open something, and `SHOWN_TOKENS` in any case."""
        async with self._database.reading() as session:
            return await repository.tokens_of(session, who.user_id, SHOWN_TOKENS)

    async def revoke(self, who: Identity, token_id: uuid.UUID) -> None:
        """End a token, and every session that it opened. Repeating changes nothing.

        Raises:
            NotFound: they have no such token.
        """
        async with self._database.transaction() as session:
            if await repository.owner_of_token(session, token_id) != who.user_id:
                raise NotFound("You have no such token.", field="token_id", remedy="GET /api/tokens lists yours.")
            await repository.revoke_token(session, token_id)
        self._forget()


async def end_of_token(session: AsyncSession, expires_in: timedelta | None) -> datetime | None:
    """When a token that is made now ends.

    Raises:
        InvalidInput: the time is none.
    """
    if expires_in is not None and not timedelta(0) < expires_in <= timedelta(days=3650):
        raise InvalidInput(
            "A token lives between a moment and ten years.", field="expires_in", remedy="Choose a time in between."
        )
    return None if expires_in is None else await time_of(session) + expires_in


async def add_token(session: AsyncSession, who: Identity, name: str, expires_at: datetime | None) -> CreatedToken:
    """A new token of the user, in the caller's transaction.

    Raises:
        InvalidInput: the name is none.
    """
    shown = name.strip()
    if not shown or len(shown) > MAX_NAME or not shown.isprintable():
        raise InvalidInput(
            f"A name has 1 to {MAX_NAME} printable characters.", field="name", remedy="Write one short line."
        )
    secret = new_secret()
    token_id = await repository.add_token(
        session, who.user_id, shown, secret[:SHOWN_PREFIX], hash_secret(secret), expires_at
    )
    return CreatedToken(await repository.token(session, token_id), secret)
