"""SQL of schedules. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.schedules.models import FiringRow, ScheduleRow
from pavo.starts.firings import STARTING

_S: Final = ScheduleRow
PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule that is made."""

    organisation_id: uuid.UUID
    name: str
    kind: str
    body: Mapping[str, Any]
    times: Mapping[str, Any]
    overlap: str
    catch_up_seconds: int
    acts_for: uuid.UUID


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many are there?"""
    query = select(func.count()).where(_S.organisation_id == organisation_id, _S.deleted_at.is_(None))
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, new: NewSchedule) -> uuid.UUID | None:
    """A new one; None: its name is taken."""
    values = {name: getattr(new, name) for name in NewSchedule.__dataclass_fields__}
    statement = insert(_S).values(**values).on_conflict_do_nothing().returning(_S.id)
    return (await session.scalars(statement)).one_or_none()


async def find(session: AsyncSession, schedule_id: uuid.UUID) -> ScheduleRow | None:
    """One, unless it is deleted."""
    query = select(_S).where(_S.id == schedule_id, _S.deleted_at.is_(None)).execution_options(populate_existing=True)
    return (await session.scalars(query)).one_or_none()


async def lock(session: AsyncSession, schedule_id: uuid.UUID) -> ScheduleRow | None:
    """The same, locked: its changes and decisions come one after the other."""
    query = select(_S).where(_S.id == schedule_id, _S.deleted_at.is_(None)).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def all_of(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> Sequence[ScheduleRow]:
    """Those of these organisations, by name."""
    query = select(_S).where(_S.organisation_id.in_(organisation_ids), _S.deleted_at.is_(None))
    return (await session.scalars(query.order_by(_S.name, _S.id))).all()


async def is_taken(session: AsyncSession, row: ScheduleRow, name: str) -> bool:
    """Whether another one of the same organisation has this name."""
    mine = (_S.organisation_id == row.organisation_id, _S.name == name, _S.id != row.id, _S.deleted_at.is_(None))
    return (await session.scalars(select(_S.id).where(*mine))).first() is not None


async def change(session: AsyncSession, schedule_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Another version of it, with these values; what its times were until now is settled."""
    now = func.pavo_now()
    more = {"version": _S.version + 1, "changed_at": now, "looked_until": now}
    await session.execute(update(_S).where(_S.id == schedule_id).values(**values, **more))


async def remove(session: AsyncSession, schedule_id: uuid.UUID) -> None:
    """It starts nothing more, and its name is free."""
    await session.execute(update(_S).where(_S.id == schedule_id).values(deleted_at=func.pavo_now()))


async def drop(session: AsyncSession, schedule_id: uuid.UUID) -> bool:
    """Nothing is left of a deleted one, unless something of it is just being started."""
    query = select(FiringRow.id).where(FiringRow.schedule_id == schedule_id, FiringRow.state == STARTING)
    if (await session.scalars(query.limit(1))).first() is not None:
        return False
    row = await session.get(_S, schedule_id)
    if row is not None:
        await session.delete(row)
    return True


async def census(session: AsyncSession) -> Mapping[str, int]:
    """How many go on, and how many are paused."""
    stage = case((_S.paused_at.is_(None), "active"), else_="paused")
    found = await session.execute(select(stage, func.count()).where(_S.deleted_at.is_(None)).group_by(stage))
    counts = {name: number for name, number in found}
    return {name: counts.get(name, 0) for name in ("active", "paused")}


async def owners(session: AsyncSession, schedule_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """Whose these are, by organisation; deleted ones are left out."""
    query = select(_S.id, _S.organisation_id).where(_S.id.in_(schedule_ids), _S.deleted_at.is_(None))
    return {row.id: row.organisation_id for row in await session.execute(query)}


async def hold_mirror(session: AsyncSession, schedule_id: uuid.UUID) -> ScheduleRow | None:
    """The row as it is, deleted or not, for whoever writes its mirror: one after the other, until the session ends."""
    key = {"key": f"schedule-mirror/{schedule_id}"}
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)
    return await session.get(_S, schedule_id, populate_existing=True)


async def mirrored(session: AsyncSession, schedule_id: uuid.UUID, version: int) -> None:
    """Temporal has this version."""
    await session.execute(update(_S).where(_S.id == schedule_id).values(mirrored=version))


async def unmirrored(session: AsyncSession) -> Sequence[uuid.UUID]:
    """Those whose mirrors are of another version, or are to go."""
    query = select(_S.id).where(or_(_S.mirrored != _S.version, _S.deleted_at.is_not(None)))
    return (await session.scalars(query.order_by(_S.id).limit(PAGE))).all()


async def settled(session: AsyncSession, age: timedelta) -> Mapping[uuid.UUID, bool]:
    """Those that have had a mirror for so long, and whether they are paused."""
    query = select(_S.id, _S.paused_at).where(_S.mirrored == _S.version, _S.deleted_at.is_(None))
    rows = await session.execute(query.where(_S.changed_at < func.pavo_now() - age))
    return {row.id: row.paused_at is not None for row in rows}


async def gone(session: AsyncSession, schedule_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these that have no row."""
    found = set((await session.scalars(select(_S.id).where(_S.id.in_(schedule_ids)))).all())
    return set(schedule_ids) - found


async def to_look_at(session: AsyncSession, before: datetime, after: uuid.UUID | None) -> Sequence[uuid.UUID]:
    """Those whose times were looked at until before this moment: the next page by id."""
    active = (_S.deleted_at.is_(None), _S.paused_at.is_(None), _S.looked_until < before)
    query = select(_S.id).where(*active).order_by(_S.id).limit(PAGE)
    return (await session.scalars(query if after is None else query.where(_S.id > after))).all()


async def looked(session: AsyncSession, schedule_id: uuid.UUID, until: datetime, missed: int) -> None:
    """Its times up to this one have their firings; so many were missed."""
    values = {"looked_until": until, "missed": _S.missed + missed}
    await session.execute(update(_S).where(_S.id == schedule_id).values(values))
