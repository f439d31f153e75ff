"""SQL of what triggers have fired: one row for each message or end. Every function works in its caller's session."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, delete, exists, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.pagination import Cursor
from pavo.starts.firings import DUE, STARTED, STARTING, Firings
from pavo.triggers.models import TriggerFiringRow, TriggerRow

_F: Final = TriggerFiringRow
FIRINGS: Final = Firings(TriggerFiringRow)
"""How they begin."""
AGAIN: Final = timedelta(seconds=2)
"""Between two looks at one that has not begun."""
SETS_BACK: Final = timedelta(minutes=1)
"""A look that is said to come so much later is of a clock that was put back."""
MINUTE: Final = timedelta(minutes=1)
PRUNED_AT_ONCE: Final = 1_000
SHOWN_OPEN: Final = 500
BY_BODY: Final = "sha256:"
"""How the names of messages begin that count once by their body: see `webhooks.verifying`."""


async def add(session: AsyncSession, trigger_id: uuid.UUID, delivery: str, event: str, payload: Any) -> uuid.UUID:
    """Write down a message that the caller, who holds the trigger's lock, has not found; the caller begins it."""
    values = {"trigger_id": trigger_id, "delivery": delivery, "event": event, "looked_at": func.pavo_now()}
    statement = insert(_F).values({**values, "payload": null() if payload is None else payload}).returning(_F.id)
    return (await session.scalars(statement)).one()


async def of_delivery(session: AsyncSession, trigger_id: uuid.UUID, delivery: str) -> TriggerFiringRow | None:
    """The firing of a message."""
    query = select(_F).where(_F.trigger_id == trigger_id, _F.delivery == delivery)
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def of_last_minute(session: AsyncSession, trigger_id: uuid.UUID) -> int:
    """How many messages came within it."""
    query = select(func.count()).where(_F.trigger_id == trigger_id, _F.created_at > func.pavo_now() - MINUTE)
    return (await session.execute(query)).scalar_one()


async def lock(session: AsyncSession, firing_id: uuid.UUID) -> TriggerFiringRow | None:
    """One, whose beginning is decided by the caller alone."""
    query = select(_F).where(_F.id == firing_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def place(session: AsyncSession, firing_id: uuid.UUID, depth: int) -> None:
    """Where it is in a chain."""
    await session.execute(update(_F).where(_F.id == firing_id).values(depth=depth))


async def open_(session: AsyncSession, trigger_id: uuid.UUID) -> Sequence[TriggerFiringRow]:
    """Those that started something which is not over, as far as is known; the newest first."""
    query = select(_F).where(_F.trigger_id == trigger_id, _F.state == STARTED, _F.ended_at.is_(None))
    return (await session.scalars(query.order_by(_F.created_at.desc()).limit(SHOWN_OPEN))).all()


async def page(
    session: AsyncSession, trigger_id: uuid.UUID, states: Sequence[str], before: Cursor | None, limit: int
) -> Sequence[TriggerFiringRow]:
    """The newest ones; so many before those of a page before."""
    query = select(_F).where(_F.trigger_id == trigger_id)
    if states:
        query = query.where(_F.state.in_(states))
    if before is not None:
        earlier = and_(_F.created_at == before.created_at, _F.id < before.id)
        query = query.where(or_(_F.created_at < before.created_at, earlier))
    return (await session.scalars(query.order_by(_F.created_at.desc(), _F.id.desc()).limit(limit))).all()


async def take_unsettled(session: AsyncSession, limit: int) -> Sequence[uuid.UUID]:
    """Those that are to begin, which nobody has looked at for a moment; from now on the caller does."""
    now, looked = func.pavo_now(), _F.looked_at
    aside = or_(looked.is_(None), looked < now - AGAIN, looked > now + SETS_BACK)
    some = select(_F.id).where(_F.state.in_((DUE, STARTING)), aside).order_by(looked.nulls_first(), _F.created_at)
    taken = some.limit(limit).with_for_update(skip_locked=True).scalar_subquery()
    statement = update(_F).where(_F.id.in_(taken)).values(looked_at=now).returning(_F.id)
    return (await session.scalars(statement)).all()


async def prune(session: AsyncSession, kept: timedelta) -> None:
    """Let go of what was settled long ago, and of what is left of triggers that are gone, a bounded number at once.

    Of messages that count once by their body the row stays, empty: nobody can send them again, ever.
    """
    settled, by_body = _F.state.not_in((DUE, STARTING)), _F.delivery.startswith(BY_BODY)
    old = and_(_F.created_at < func.pavo_now() - kept, settled)
    orphan = and_(~exists().where(TriggerRow.id == _F.trigger_id), settled)
    for gone in (and_(old, ~by_body), orphan):
        some = select(_F.id).where(gone).limit(PRUNED_AT_ONCE).scalar_subquery()
        await session.execute(delete(_F).where(_F.id.in_(some)))
    holding = or_(_F.payload.is_not(None), _F.body.is_not(None))
    full = select(_F.id).where(old, by_body, holding).limit(PRUNED_AT_ONCE).scalar_subquery()
    await session.execute(update(_F).where(_F.id.in_(full)).values({"payload": null(), "body": null()}))
