"""Who said or decided something, as others read it."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts import repository
from pavo.accounts.domain import Identity, name_of, normal_email
from pavo.accounts.models import UserRow


@dataclass(frozen=True, slots=True)
class Person:
    """A user, as others read of them."""

    id: uuid.UUID
    email: str
    name: str
    """What to call them: what stands before the @ of their address."""


async def people_by_id(session: AsyncSession, ids: Iterable[uuid.UUID | None]) -> Mapping[uuid.UUID, Person]:
    """Those of the users with these ids who exist, in one question."""
    wanted = {user_id for user_id in ids if user_id is not None}
    if not wanted:
        return {}
    query = select(UserRow.id, UserRow.email).where(UserRow.id.in_(wanted))
    return {row.id: Person(row.id, row.email, name_of(row.email)) for row in await session.execute(query)}


async def creator(session: AsyncSession, who: Identity, named: str | None) -> uuid.UUID | None:
    """The user that "me", an id or an address names, for lists of what they made; None: nobody is named.

    Of nobody it is an id that nobody has.

    Raises:
        InvalidInput: it is no address.
    """
    if named is None or named == "me":
        return None if named is None else who.user_id
    try:
        return uuid.UUID(named)
    except ValueError:
        return await user_with_email(session, normal_email(named, field="created_by")) or uuid.UUID(int=0)


async def user_with_email(session: AsyncSession, email: str) -> uuid.UUID | None:
    """The id of the user with this address, in its normal spelling."""
    return (await session.scalars(select(UserRow.id).where(UserRow.email == email))).one_or_none()


async def identity_in(session: AsyncSession, user_id: uuid.UUID, organisation_id: uuid.UUID) -> Identity | None:
    """The user as who acts in this organisation while nobody asks; None: they are gone, or no member any more."""
    found = await repository.user_by_id(session, user_id)
    if found is None or organisation_id not in found.organisation_ids:
        return None
    return replace(found, organisation_id=organisation_id)
