"""Use cases of an organisation's secrets. Who may call which is decided by the endpoints; the command line is an
operator, who may all. No use case but `value` answers a value, and that one serves agents alone."""

import uuid
from dataclasses import dataclass
from typing import Final

from pavo.accounts.organisations import repository as organisations
from pavo.accounts.secrets import repository
from pavo.accounts.secrets.domain import (
    MAX_SECRETS,
    SealedSecret,
    Secret,
    SecretChange,
    checked_name,
    checked_value,
)
from pavo.accounts.secrets.sealing import KeyRing, open_sealed, seal
from pavo.errors import Conflict, NotFound, Unavailable
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database

BATCH: Final = 50
"""Secrets that one transaction of a rotation reseals: their rows are locked meanwhile."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did."""

    resealed: int
    unreadable: tuple[str, ...]
    """ORGANISATION/NAME of those that no key of this process opens: they are as they were."""


class SecretService:
    """Secrets of organisations.

    Args:
        database: Pavo's database.
        ring: the keys that seal and open them.
    """

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    async def set(self, organisation_id: uuid.UUID, name: str, value: str, by: uuid.UUID | None = None) -> Secret:
        """Set a secret, whether there was one of this name or not.

        Args:
            by: the user who does; None: an operator.

        Raises:
            InvalidInput: name or value are none.
            Conflict: there are as many as there may be, or this deployment has no key.
        """
        sealed = seal(self._ring, organisation_id, checked_name(name), checked_value(value))
        async with self._database.transaction() as session:
            await organisations.lock(session, organisation_id)  # so that two at once do not both count one too few
            known = await repository.names(session, organisation_id)
            if name not in known and len(known) >= MAX_SECRETS:
                raise Conflict(f"There are {MAX_SECRETS} secrets, as many as there may be.", remedy="Remove one.")
            await repository.put(session, SealedSecret(organisation_id, name, sealed), by)
            return next(each for each in await repository.all_of(session, organisation_id) if each.name == name)

    async def all_of(self, organisation_id: uuid.UUID) -> list[Secret]:
        """The organisation's secrets, by name; without their values."""
        async with self._database.reading() as session:
            return await repository.all_of(session, organisation_id)

    async def remove(self, organisation_id: uuid.UUID, name: str, by: uuid.UUID | None = None) -> None:
        """Remove a secret.

        Raises:
            NotFound: there is none of this name.
        """
        async with self._database.transaction() as session:
            if not await repository.remove(session, organisation_id, name, by):
                raise NotFound(
                    f"There is no secret {name[:100]!r}.", field="name", remedy="See them with: pavo secret list"
                )

    async def changes(self, organisation_id: uuid.UUID, cursor: str | None, limit: int) -> Page[SecretChange]:
        """Who set and removed secrets, newest first.

        Raises:
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            found = await repository.changes(session, organisation_id, before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        following = Cursor(last[1].at, last[0]).encode() if last else None
        return Page([change for _, change in found[:limit]], following)

    async def value(self, organisation_id: uuid.UUID, name: str) -> str | None:
        """A secret's value; None: there is none of this name.

        Raises:
            Unavailable: PostgreSQL is away, or no key of this process opens it.
        """
        async with self._database.reading() as session:
            found = await repository.find(session, organisation_id, name)
        return None if found is None else open_sealed(self._ring, organisation_id, name, found.sealed)

    async def rotate(self) -> Rotated:
        """Seal anew, in all organisations, what another key than the current one seals.

        In batches, each a transaction: one that dies half-way is gone on with by calling it again.

        Raises:
            Conflict: this deployment has no key.
        """
        head, resealed, unreadable = self._ring.head, 0, list[str]()
        after: tuple[uuid.UUID, str] | None = None
        while True:
            async with self._database.transaction() as session:
                batch = await repository.sealed_otherwise(session, head, after, BATCH)
                for each in batch:
                    after = each.organisation_id, each.name
                    fresh = self._resealed(each)
                    if fresh is None:
                        unreadable.append(f"{each.organisation_id}/{each.name}")
                        continue
                    await repository.reseal(session, fresh)
                    resealed += 1
            if not batch:
                return Rotated(resealed, tuple(unreadable))

    def _resealed(self, secret: SealedSecret) -> SealedSecret | None:
        owner, name = secret.organisation_id, secret.name
        try:
            value = open_sealed(self._ring, owner, name, secret.sealed)
        except Unavailable:
            return None
        return SealedSecret(owner, name, seal(self._ring, owner, name, value))
