"""Who said or decided something, as others read it."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import name_of
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


async def user_with_email(session: AsyncSession, email: str) -> uuid.UUID | None:
    """The id of the user with this address, in its normal spelling."""
    return (await session.scalars(select(UserRow.id).where(UserRow.email == email))).one_or_none()
