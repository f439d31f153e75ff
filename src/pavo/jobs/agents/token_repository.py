"""SQL of agents' tokens. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.jobs.agents.tokens import AgentGrant, AgentToken
from pavo.jobs.sql.models import AgentTokenRow
from pavo.kit.ids import new_id

_ROW = AgentTokenRow
_LIVE = and_(_ROW.revoked_at.is_(None), or_(_ROW.expires_at.is_(None), _ROW.expires_at > func.pavo_now()))
_STATE: Any = case((_ROW.revoked_at.is_not(None), "revoked"), (_LIVE, "active"), else_="expired")
_TOKEN = select(
    _ROW.id,
    _ROW.name,
    _ROW.prefix,
    _ROW.agent,
    _STATE,
    UserRow.email,
    _ROW.created_at,
    _ROW.expires_at,
    _ROW.revoked_at,
    _ROW.used_at,
).outerjoin(UserRow, UserRow.id == _ROW.created_by)
NOTED_AGAIN = timedelta(minutes=1)
"""A token's use is written at most so often."""


async def lock(session: AsyncSession, organisation_id: uuid.UUID) -> None:
    """Nobody else adds a token to the organisation until the session ends."""
    mine = select(OrganisationRow.id).where(OrganisationRow.id == organisation_id)
    await session.execute(mine.with_for_update(key_share=True))


async def count_live(session: AsyncSession, organisation_id: uuid.UUID | None) -> int:
    """How many open something now?"""
    return (await session.execute(select(func.count()).where(_of(organisation_id), _LIVE))).scalar_one()


async def add(
    session: AsyncSession,
    organisation_id: uuid.UUID | None,
    kept: dict[str, Any],
    by: uuid.UUID | None,
    expires_at: datetime | None,
) -> AgentToken:
    """A new one.

    Args:
        kept: name, agent, prefix and hash.
    """
    token_id = new_id()
    row = AgentTokenRow(id=token_id, organisation_id=organisation_id, created_by=by, expires_at=expires_at, **kept)
    session.add(row)
    await session.flush()
    return AgentToken(*(await session.execute(_TOKEN.where(_ROW.id == token_id))).one())


async def all_of(session: AsyncSession, organisation_id: uuid.UUID | None, newest: int) -> Sequence[AgentToken]:
    """Newest first: so many, and all that open something."""
    order = _ROW.created_at.desc(), _ROW.id.desc()
    last = select(_ROW.id).where(_of(organisation_id)).order_by(*order).limit(newest)
    query = _TOKEN.where(_of(organisation_id), or_(_LIVE, _ROW.id.in_(last))).order_by(*order)
    return [AgentToken(*row) for row in (await session.execute(query)).all()]


async def revoke(session: AsyncSession, organisation_id: uuid.UUID | None, token_id: uuid.UUID) -> bool:
    """End it; one that is revoked keeps its time; False: there is none."""
    at = func.coalesce(_ROW.revoked_at, func.pavo_now())
    statement = update(_ROW).where(_of(organisation_id), _ROW.id == token_id).values(revoked_at=at).returning(_ROW.id)
    return (await session.scalars(statement)).one_or_none() is not None


async def opened(session: AsyncSession, hash_: str) -> AgentGrant | None:
    """What the token with this hash opens now; its use is noted."""
    query = select(_ROW.id, _ROW.organisation_id, _ROW.agent, _ROW.used_at > func.pavo_now() - NOTED_AGAIN)
    row = (await session.execute(query.where(_ROW.hash == hash_, _LIVE))).one_or_none()
    if row is None:
        return None
    if not row[3]:
        await session.execute(update(_ROW).where(_ROW.id == row[0]).values(used_at=func.pavo_now()))
    return AgentGrant(row[0], row[1], row[2])


async def live(session: AsyncSession, token_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these open something now?"""
    return set((await session.scalars(select(_ROW.id).where(_ROW.id.in_(token_ids), _LIVE))).all())


def _of(organisation_id: uuid.UUID | None) -> Any:
    return _ROW.organisation_id.is_(None) if organisation_id is None else _ROW.organisation_id == organisation_id
