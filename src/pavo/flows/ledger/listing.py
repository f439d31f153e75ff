"""Runs in lists: which there are, by what people look for."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import UserRow
from pavo.flows.ledger.models import FlowResultRow, FlowRunRow, FlowVersionRow


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """Which runs of a list are meant; None: whatever."""

    flow: str | None = None
    states: Sequence[str] | None = None
    engine: str | None = None
    since: datetime | timedelta | None = None
    """Begun since then, or so long ago at most."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run, as a list shows it."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    flow: str
    version: int | None
    """None: nobody has published what it executes."""
    hash: str
    engine: str
    state: str
    fallback: bool
    cancel_asked: bool
    paused_at: datetime | None
    paused_reason: str | None
    asked: int
    """So many steps people are asked about."""
    created_at: datetime
    created_by: str | None
    ended_at: datetime | None
    error: str | None
    parent_id: uuid.UUID | None
    """The run of which it is a step."""
    parent_step: str | None
    parent_item: int | None


def _lines() -> Any:
    asked = (FlowResultRow.run_id == FlowRunRow.id, FlowResultRow.state == "unknown", FlowResultRow.seq.is_(None))
    return (
        select(
            FlowRunRow.id,
            FlowRunRow.organisation_id,
            FlowRunRow.flow,
            FlowVersionRow.number,
            FlowRunRow.hash,
            FlowRunRow.engine,
            FlowRunRow.state,
            FlowRunRow.fallback,
            FlowRunRow.cancel_asked_at.is_not(None),
            FlowRunRow.paused_at,
            FlowRunRow.paused_reason,
            select(func.count()).select_from(FlowResultRow).where(*asked).scalar_subquery(),
            FlowRunRow.created_at,
            UserRow.email,
            FlowRunRow.ended_at,
            FlowRunRow.error,
            FlowRunRow.parent_id,
            FlowRunRow.parent_step,
            FlowRunRow.parent_item,
        )
        .join(
            FlowVersionRow,
            (FlowVersionRow.organisation_id == FlowRunRow.organisation_id) & (FlowVersionRow.hash == FlowRunRow.hash),
        )
        .outerjoin(UserRow, UserRow.id == FlowRunRow.created_by)
        .where(FlowRunRow.deleted_at.is_(None))
    )


async def lines(
    session: AsyncSession, organisation_id: uuid.UUID, wanted: WantedRuns, before: uuid.UUID | None, limit: int
) -> list[RunLine]:
    """An organisation's, the newest first; so many of those before an id."""
    query = _lines().where(FlowRunRow.organisation_id == organisation_id)
    if wanted.flow is not None:
        query = query.where(FlowRunRow.flow == wanted.flow)
    if wanted.states is not None:
        query = query.where(FlowRunRow.state.in_(wanted.states))
    if wanted.engine is not None:
        query = query.where(FlowRunRow.engine == wanted.engine)
    if wanted.since is not None:
        since = wanted.since
        query = query.where(
            FlowRunRow.created_at >= (since if isinstance(since, datetime) else func.pavo_now() - since)
        )
    if before is not None:
        query = query.where(FlowRunRow.id < before)
    rows = await session.execute(query.order_by(FlowRunRow.id.desc()).limit(limit))
    return [RunLine(*row) for row in rows]


async def line(session: AsyncSession, run_id: uuid.UUID) -> RunLine | None:
    """One of them, whosever it is."""
    row = (await session.execute(_lines().where(FlowRunRow.id == run_id))).one_or_none()
    return None if row is None else RunLine(*row)


async def kept_bytes(session: AsyncSession, run_id: uuid.UUID) -> int:
    """How long the outputs are that are kept of a run's steps, about."""
    total = func.coalesce(func.sum(func.pg_column_size(FlowResultRow.output)), 0)
    return int((await session.scalars(select(total).where(FlowResultRow.run_id == run_id))).one())


async def tombstone(session: AsyncSession, run_id: uuid.UUID) -> tuple[uuid.UUID, bool] | None:
    """Whose a run is, and whether it was removed; None: there was none."""
    query = select(FlowRunRow.organisation_id, FlowRunRow.deleted_at.is_not(None)).where(FlowRunRow.id == run_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])
