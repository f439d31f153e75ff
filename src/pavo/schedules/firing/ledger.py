"""SQL of firings: one row for each time of a schedule. Every function works in its caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.pagination import Cursor
from pavo.schedules import domain as d
from pavo.schedules.models import FiringRow, ScheduleRow
from pavo.starts.firings import DUE, FAILED, SKIPPED, STARTED, STARTING, Firings, changed

_F: Final = FiringRow
FIRINGS: Final = Firings(FiringRow)
"""How they begin."""
PAGE: Final = 500
"""Firings of one schedule that are looked at together."""
AGAIN: Final = timedelta(seconds=2)
"""Between two looks at what one schedule has due."""
SETS_BACK: Final = timedelta(minutes=1)
"""A look that is said to come so much later is of a clock that was put back."""


async def add(
    session: AsyncSession,
    schedule_id: uuid.UUID,
    moments: Sequence[datetime],
    *,
    reason: str,
    overlap: str,
    **values: Any,
) -> Sequence[uuid.UUID]:
    """Write firings down; of times that have one already nothing is written. Answers the new ones."""
    if not moments:
        return []
    same = {"schedule_id": schedule_id, "reason": reason, "overlap": overlap, **values}
    rows = [{**same, "nominal_at": moment} for moment in moments]
    statement = insert(_F).values(rows).on_conflict_do_nothing().returning(_F.id)
    return (await session.scalars(statement)).all()


async def again(session: AsyncSession, firing_ids: Sequence[uuid.UUID], overlap: str) -> int:
    """Have firings that are settled start once more; answers how many."""
    settled = or_(_F.state.in_((SKIPPED, FAILED)), and_(_F.state == STARTED, _F.ended_at.is_not(None)))
    cleared = {"kind": None, "body": None, "acts_for": None, "subject_id": None, "started_at": None}
    values: dict[str, Any] = {
        **cleared,
        "ended_at": None,
        "outcome": None,
        "told": "",
        "state": DUE,
        "reason": d.BACKFILLED,
        "overlap": overlap,
        "attempt": _F.attempt + 1,
    }
    return await changed(session, update(_F).where(_F.id.in_(firing_ids), settled).values(values))


async def locked(session: AsyncSession, schedule_id: uuid.UUID) -> ScheduleRow | None:
    """The schedule, whose firings are decided about one after the other; deleted ones too."""
    query = select(ScheduleRow).where(ScheduleRow.id == schedule_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def in_state(session: AsyncSession, schedule_id: uuid.UUID, state: str, limit: int = PAGE) -> Sequence[FiringRow]:
    """Those in this state, oldest first."""
    query = select(_F).where(_F.schedule_id == schedule_id, _F.state == state)
    return (await session.scalars(query.order_by(_F.nominal_at).limit(limit))).all()


async def open_(session: AsyncSession, schedule_id: uuid.UUID, limit: int = PAGE) -> Sequence[FiringRow]:
    """Those that started something which is not over, as far as is known; oldest first."""
    query = select(_F).where(_F.schedule_id == schedule_id, _F.state == STARTED, _F.ended_at.is_(None))
    return (await session.scalars(query.order_by(_F.nominal_at).limit(limit))).all()


async def tell(session: AsyncSession, firing_ids: Sequence[uuid.UUID], why: str) -> None:
    """Why these wait."""
    mine = (_F.id.in_(firing_ids), _F.state == DUE, _F.told != why)
    await session.execute(update(_F).where(*mine).values(told=why))


async def at(
    session: AsyncSession, schedule_id: uuid.UUID, moments: Sequence[datetime]
) -> Mapping[datetime, FiringRow]:
    """The firings of these times."""
    query = select(_F).where(_F.schedule_id == schedule_id, _F.nominal_at.in_(moments))
    return {row.nominal_at: row for row in await session.scalars(query)}


async def at_between(
    session: AsyncSession, schedule_id: uuid.UUID, since: datetime, until: datetime
) -> Mapping[datetime, FiringRow]:
    """The firings of all times between these two moments, with both."""
    query = select(_F).where(_F.schedule_id == schedule_id, _F.nominal_at.between(since, until))
    return {row.nominal_at: row for row in await session.scalars(query)}


async def page(
    session: AsyncSession, schedule_id: uuid.UUID, states: Sequence[str], before: Cursor | None, limit: int
) -> Sequence[FiringRow]:
    """The newest ones by their time; so many before those of a page before."""
    query = select(_F).where(_F.schedule_id == schedule_id)
    if states:
        query = query.where(_F.state.in_(states))
    if before is not None:
        earlier = and_(_F.nominal_at == before.created_at, _F.id < before.id)
        query = query.where(or_(_F.nominal_at < before.created_at, earlier))
    return (await session.scalars(query.order_by(_F.nominal_at.desc(), _F.id.desc()).limit(limit))).all()


async def take_unsettled(session: AsyncSession, limit: int) -> Sequence[uuid.UUID]:
    """Schedules with firings to begin, which nobody has looked at for a moment; from now on the caller does."""
    unsettled = exists().where(_F.schedule_id == ScheduleRow.id, _F.state.in_((DUE, STARTING)))
    now, looked = func.pavo_now(), ScheduleRow.looked_at
    aside = or_(looked.is_(None), looked < now - AGAIN, looked > now + SETS_BACK)
    some = select(ScheduleRow.id).where(unsettled, aside).order_by(looked.nulls_first()).limit(limit)
    taken = some.with_for_update(skip_locked=True).scalar_subquery()
    statement = update(ScheduleRow).where(ScheduleRow.id.in_(taken)).values(looked_at=now).returning(ScheduleRow.id)
    return (await session.scalars(statement)).all()
