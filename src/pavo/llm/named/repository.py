"""SQL of organisations' endpoints. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.llm.named.domain import EndpointValues, NamedEndpoint
from pavo.llm.named.models import ModelEndpointRow

_ROW = ModelEndpointRow


async def names(session: AsyncSession, organisation_id: uuid.UUID, *, lock: bool = False) -> Sequence[str]:
    """The names of the organisation's endpoints.

    Args:
        lock: nobody else adds one until the session commits.
    """
    if lock:
        mine = select(OrganisationRow.id).where(OrganisationRow.id == organisation_id)
        await session.execute(mine.with_for_update(key_share=True))
    query = select(_ROW.name).where(_ROW.organisation_id == organisation_id).order_by(_ROW.name)
    return (await session.scalars(query)).all()


async def put(
    session: AsyncSession, organisation_id: uuid.UUID, name: str, given: EndpointValues, by: uuid.UUID | None
) -> None:
    """Set it, whether there was one or not."""
    place, values = {"organisation_id": organisation_id, "name": name}, {**asdict(given), "set_by": by}
    statement = insert(_ROW).values(**place, **values)
    changed = {**values, "set_at": func.pavo_now()}
    await session.execute(statement.on_conflict_do_update(index_elements=list(place), set_=changed))


async def find(session: AsyncSession, organisation_id: uuid.UUID, name: str | None = None) -> list[NamedEndpoint]:
    """The organisation's endpoints, by name; with a name that one alone, if there is one."""
    query = (
        select(_ROW.name, _ROW.base_url, _ROW.model, _ROW.secret, _ROW.set_at, UserRow.email)
        .outerjoin(UserRow, UserRow.id == _ROW.set_by)
        .where(_ROW.organisation_id == organisation_id)
        .order_by(_ROW.name)
    )
    if name is not None:
        query = query.where(_ROW.name == name)
    rows = [tuple[Any, ...](row) for row in await session.execute(query)]
    return [NamedEndpoint(*row) for row in rows]


async def remove(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> bool:
    """Remove it; False: there is none."""
    mine = (_ROW.organisation_id == organisation_id, _ROW.name == name)
    return (await session.scalars(delete(_ROW).where(*mine).returning(_ROW.name))).one_or_none() is not None
