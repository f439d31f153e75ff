"""SQL of triggers. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.starts.firings import DUE, STARTING
from pavo.triggers.models import SECRETS, TriggerFiringRow, TriggerRow

_T: Final = TriggerRow
_THERE: Final = _T.deleted_at.is_(None)


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A trigger that is made."""

    organisation_id: uuid.UUID
    name: str
    origin: str
    kind: str
    body: Mapping[str, Any]
    condition: str | None
    per_minute: int
    event_kind: str | None
    outcomes: Sequence[str]
    flows: Sequence[str]
    acts_for: uuid.UUID


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many are there?"""
    query = select(func.count()).where(_T.organisation_id == organisation_id, _THERE)
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, new: NewTrigger, secret: str | None) -> uuid.UUID | None:
    """A new one; None: its name is taken."""
    values = {name: getattr(new, name) for name in NewTrigger.__dataclass_fields__}
    statement = insert(_T).values(**values).on_conflict_do_nothing().returning(_T.id)
    trigger_id = (await session.scalars(statement)).one_or_none()
    if trigger_id is not None and secret is not None:
        await SECRETS.add(session, trigger_id, secret)
    return trigger_id


async def find(session: AsyncSession, trigger_id: uuid.UUID) -> TriggerRow | None:
    """One, unless it is deleted."""
    query = select(_T).where(_T.id == trigger_id, _THERE).execution_options(populate_existing=True)
    return (await session.scalars(query)).one_or_none()


async def lock(session: AsyncSession, trigger_id: uuid.UUID) -> TriggerRow | None:
    """The same, locked: its changes come one after the other, and so do its messages."""
    query = select(_T).where(_T.id == trigger_id, _THERE).with_for_update(key_share=True)
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def whatever(session: AsyncSession, trigger_id: uuid.UUID) -> TriggerRow | None:
    """One, deleted or not."""
    return await session.get(_T, trigger_id, populate_existing=True)


async def valid_secrets(session: AsyncSession, trigger_id: uuid.UUID) -> Sequence[str]:
    """By which its messages may be signed now; none: there is no such trigger of messages."""
    query = select(_T.id).where(_T.id == trigger_id, _THERE, _T.origin == "webhook")
    found = (await session.scalars(query)).one_or_none()
    secrets = await SECRETS.valid(session, trigger_id)
    return secrets if found is not None else ()


async def all_of(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> Sequence[TriggerRow]:
    """Those of these organisations, by name."""
    query = select(_T).where(_T.organisation_id.in_(organisation_ids), _THERE)
    return (await session.scalars(query.order_by(_T.name, _T.id))).all()


async def change(session: AsyncSession, trigger_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Of one that the caller has locked."""
    await session.execute(update(_T).where(_T.id == trigger_id).values(**values))


async def remove(session: AsyncSession, trigger_id: uuid.UUID) -> None:
    """It starts nothing more, and its name is free."""
    await session.execute(update(_T).where(_T.id == trigger_id).values(deleted_at=func.pavo_now()))


async def drop(session: AsyncSession, count: int) -> None:
    """Nothing is left of deleted ones, unless something of them is to begin still."""
    f = TriggerFiringRow
    open_ = exists().where(f.trigger_id == _T.id, f.state.in_((DUE, STARTING)))
    some = select(_T.id).where(_T.deleted_at.is_not(None), ~open_).limit(count)
    await session.execute(delete(_T).where(_T.id.in_(some.scalar_subquery())))


async def note_failure(session: AsyncSession, trigger_id: uuid.UUID, most: int, reason: str) -> bool:
    """One more in a row has failed; whether it is paused by that."""
    failures = update(_T).where(_T.id == trigger_id).values(failures=_T.failures + 1).returning(_T.failures)
    found = (await session.scalars(failures)).one_or_none()
    if found is None or found < most:
        return False
    values = {"paused_at": func.pavo_now(), "paused_by": None, "paused_reason": reason}
    going = update(_T).where(_T.id == trigger_id, _T.paused_at.is_(None)).values(values).returning(_T.id)
    return (await session.scalars(going)).one_or_none() is not None


async def note_success(session: AsyncSession, trigger_id: uuid.UUID) -> None:
    """None in a row has failed."""
    await session.execute(update(_T).where(_T.id == trigger_id, _T.failures > 0).values(failures=0))


async def census(session: AsyncSession) -> Mapping[str, int]:
    """How many go on, and how many are paused."""
    stage = case((_T.paused_at.is_(None), "active"), else_="paused")
    found = await session.execute(select(stage, func.count()).where(_THERE).group_by(stage))
    counts = {name: number for name, number in found}
    return {name: counts.get(name, 0) for name in ("active", "paused")}
