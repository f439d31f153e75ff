"""Whether what was allowed at the beginning of a connection that lasts (a stream, a socket, a download) still is.

One statement for each interval asks about the people of all of them, and one for each kind of subject about the
subjects: what it costs does not grow with the number of viewers of the same thing by the same person.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from pavo.accounts import repository
from pavo.accounts.domain import Grant, Standing
from pavo.errors import Unavailable
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 2.0
"""With a statement's time it stays below the 5 s that are promised."""

Owners: TypeAlias = Callable[[Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, uuid.UUID]]]
"""Whose these subjects are now, by organisation; those that are gone are left out."""


class Lasting(Protocol):
    """A connection that lasts."""

    @property
    def left(self) -> bool:
        """Whether it has ended by itself."""
        ...

    def end(self, reason: str) -> None:
        """End it, and tell its client why."""
        ...


class StandingWatch:
    """Ends connections whose grant holds no more.

    Args:
        owners: by kind of subject.
    """

    def __init__(self, database: Database, owners: Mapping[str, Owners]) -> None:
        self._database, self._owners = database, owners
        self._held: dict[Lasting, Grant] = {}

    def hold(self, connection: Lasting, grant: Grant) -> None:
        """Watch the grant as long as the connection lasts."""
        self._held[connection] = grant

    async def run(self) -> None:
        """Look again and again, until cancelled. While PostgreSQL is away nothing is ended."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.look()
            except Unavailable as error:
                logger.warning("Cannot see whether those who watch still may: %s", error)
            except Exception:
                # Logged and not raised: the next look is seconds away.
                logger.exception("Looking at who may watch failed in an unforeseen way")

    async def look(self) -> None:
        """End those whose grant holds no more."""
        self._held = {each: grant for each, grant in self._held.items() if not each.left}
        held = dict(self._held)
        if not held:
            return
        reasons = await self._people({standing for grant in held.values() if (standing := _standing(grant))})
        owners = await self._subjects()
        for connection, grant in held.items():
            standing = _standing(grant)
            reason = reasons.get(standing) if standing else None
            reason = reason or _of_subject(grant, owners.get(grant.kind))
            if reason:
                connection.end(reason)

    async def _people(self, asked: set[Standing]) -> dict[Standing, str]:
        standings = list(asked)
        if not standings:
            return {}
        async with self._database.reading() as session:
            found = await repository.standings(session, standings)
        return {standing: reason for standing, reason in zip(standings, found, strict=True) if reason}

    async def _subjects(self) -> dict[str, Mapping[uuid.UUID, uuid.UUID]]:
        ids: dict[str, set[uuid.UUID]] = {}
        for grant in self._held.values():
            ids.setdefault(grant.kind, set()).add(grant.subject_id)
        return {kind: await self._owners[kind](list(found)) for kind, found in ids.items() if kind in self._owners}


def _standing(grant: Grant) -> Standing | None:
    who = grant.who
    return who and Standing(who.user_id, grant.organisation_id, who.token_id, who.session_until)


def _of_subject(grant: Grant, owners: Mapping[uuid.UUID, uuid.UUID] | None) -> str | None:
    if owners is None:
        return None
    owner = owners.get(grant.subject_id)
    if owner is None:
        return f"the {grant.kind} was deleted"
    if grant.who is not None and owner != grant.organisation_id:
        return f"the {grant.kind} belongs to another organisation now"
    return None
