"""SQL of an organisation's secrets. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import UserRow
from pavo.accounts.secrets.domain import Change, SealedSecret, Secret, SecretChange
from pavo.accounts.secrets.models import SecretChangeRow, SecretRow
from pavo.accounts.secrets.sealing import FORMAT, HEAD_BYTES
from pavo.kit.pagination import Cursor

_HEAD: Any = func.substring(SecretRow.sealed, 1, HEAD_BYTES)


async def put(session: AsyncSession, secret: SealedSecret, by: uuid.UUID | None) -> None:
    """Set it, and note who did."""
    values: dict[str, Any] = {"sealed": secret.sealed, "set_by": by}
    place = {"organisation_id": secret.organisation_id, "name": secret.name}
    statement = insert(SecretRow).values(**place, **values)
    changed = {**values, "set_at": func.pavo_now()}
    await session.execute(statement.on_conflict_do_update(index_elements=list(place), set_=changed))
    await _note(session, secret.organisation_id, secret.name, "set", by)


async def remove(session: AsyncSession, organisation_id: uuid.UUID, name: str, by: uuid.UUID | None) -> bool:
    """Remove it, and note who did; False: there is none."""
    mine = (SecretRow.organisation_id == organisation_id, SecretRow.name == name)
    gone = (await session.scalars(delete(SecretRow).where(*mine).returning(SecretRow.name))).one_or_none()
    if gone is not None:
        await _note(session, organisation_id, name, "removed", by)
    return gone is not None


async def _note(
    session: AsyncSession, organisation_id: uuid.UUID, name: str, change: Change, by: uuid.UUID | None
) -> None:
    session.add(SecretChangeRow(organisation_id=organisation_id, name=name, change=change, by=by))
    await session.flush()


async def names(session: AsyncSession, organisation_id: uuid.UUID) -> Sequence[str]:
    """The names of the organisation's secrets."""
    query = select(SecretRow.name).where(SecretRow.organisation_id == organisation_id).order_by(SecretRow.name)
    return (await session.scalars(query)).all()


async def all_of(session: AsyncSession, organisation_id: uuid.UUID) -> list[Secret]:
    """The organisation's secrets, by name."""
    query = (
        select(SecretRow.name, SecretRow.set_at, UserRow.email, _HEAD)
        .outerjoin(UserRow, UserRow.id == SecretRow.set_by)
        .where(SecretRow.organisation_id == organisation_id)
        .order_by(SecretRow.name)
    )
    rows = (await session.execute(query)).all()
    return [Secret(name, at, by, bytes(head)[len(FORMAT) :].hex()) for name, at, by, head in rows]


async def changes(
    session: AsyncSession, organisation_id: uuid.UUID, before: Cursor | None, limit: int
) -> list[tuple[uuid.UUID, SecretChange]]:
    """What was set and removed, newest first; so many before those of a page before."""
    query = (
        select(SecretChangeRow.id, SecretChangeRow.name, SecretChangeRow.change, SecretChangeRow.at, UserRow.email)
        .outerjoin(UserRow, UserRow.id == SecretChangeRow.by)
        .where(SecretChangeRow.organisation_id == organisation_id)
        .order_by(SecretChangeRow.at.desc(), SecretChangeRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(SecretChangeRow.at, SecretChangeRow.id) < (before.created_at, before.id))
    rows = [tuple[Any, ...](row) for row in await session.execute(query)]
    return [(row[0], SecretChange(*row[1:])) for row in rows]


async def find(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> SealedSecret | None:
    """One secret, as it is kept."""
    mine = (SecretRow.organisation_id == organisation_id, SecretRow.name == name)
    sealed = (await session.scalars(select(SecretRow.sealed).where(*mine))).one_or_none()
    return None if sealed is None else SealedSecret(organisation_id, name, bytes(sealed))


async def sealed_otherwise(
    session: AsyncSession, head: bytes, after: tuple[uuid.UUID, str] | None, limit: int
) -> list[SealedSecret]:
    """Secrets of all organisations that do not begin so, locked: nobody else sets or reseals them meanwhile."""
    place = tuple_(SecretRow.organisation_id, SecretRow.name)
    query = select(SecretRow.organisation_id, SecretRow.name, SecretRow.sealed).where(head != _HEAD)
    if after is not None:
        query = query.where(place > after)
    query = query.order_by(SecretRow.organisation_id, SecretRow.name).limit(limit).with_for_update()
    return [SealedSecret(owner, name, bytes(sealed)) for owner, name, sealed in (await session.execute(query)).all()]


async def reseal(session: AsyncSession, secret: SealedSecret) -> None:
    """Replace what is kept of it; who set it when stays."""
    mine = (SecretRow.organisation_id == secret.organisation_id, SecretRow.name == secret.name)
    await session.execute(update(SecretRow).where(*mine).values(sealed=secret.sealed))
