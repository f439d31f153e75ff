"""Lists of tasks: which ones, in which order, and how many there are."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import String, cast, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.people import creator
from pavo.kit.clock import moment_or_age
from pavo.kit.pagination import Cursor
from pavo.tasks.domain import stages_of
from pavo.tasks.schemas import Wanted
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.repository import LISTED, TaskView, listed_view

SORTS: Final = {"-created": "created_at", "created": "created_at", "-updated": "updated_at", "updated": "updated_at"}
"""The column of each order; `-` begins with the newest."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which tasks a list holds; what is left out chooses nothing."""

    organisation_ids: Sequence[uuid.UUID]
    stages: Sequence[str] = ()
    text: str | None = None
    """In the title, in any case; or the beginning or end of the id."""
    agent_type: str | None = None
    created_by: uuid.UUID | None = None
    since: datetime | timedelta | None = None
    """Created at or after this moment, or not longer ago than that."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of tasks, and how many there are on all pages."""

    items: Sequence[TaskView]
    next_cursor: str | None
    total: int


async def listed(session: AsyncSession, who: Identity, wanted: Wanted) -> Listed:
    """The page that somebody wants.

    Raises:
        InvalidInput: what chooses it is none of what it says.
    """
    after = Cursor.decode(wanted.cursor) if wanted.cursor else None
    chosen = await _chosen(session, who, wanted)
    found = await list_tasks(session, chosen, limit=wanted.limit + 1, cursor=after, sort=wanted.sort)
    total = await count_tasks(session, chosen)
    page = found[: wanted.limit]
    last = page[-1].task if len(found) > wanted.limit else None
    return Listed(page, Cursor(getattr(last, SORTS[wanted.sort]), last.id).encode() if last else None, total)


async def _chosen(session: AsyncSession, who: Identity, wanted: Wanted) -> Chosen:
    return Chosen(
        who.organisation_ids,
        stages=stages_of(wanted.stage) if wanted.stage else (),
        text=wanted.q,
        agent_type=wanted.agent,
        created_by=await creator(session, who, wanted.created_by or None),
        since=moment_or_age(wanted.since, field="since") if wanted.since else None,
    )


async def list_tasks(
    session: AsyncSession, chosen: Chosen, *, limit: int, cursor: Cursor | None, sort: str = "-created"
) -> list[TaskView]:
    """One page, in this order."""
    column: Any = getattr(TaskRow, SORTS[sort])
    query = LISTED.where(*_conditions(chosen))
    place = tuple_(column, TaskRow.id)
    falling = sort.startswith("-")
    if cursor:
        after = (cursor.created_at, cursor.id)
        query = query.where(place < after if falling else place > after)
    order = (column.desc(), TaskRow.id.desc()) if falling else (column, TaskRow.id)
    return [listed_view(row) for row in await session.execute(query.order_by(*order).limit(limit))]


async def count_tasks(session: AsyncSession, chosen: Chosen) -> int:
    """How many there are on all pages."""
    return (await session.scalars(select(func.count()).select_from(TaskRow).where(*_conditions(chosen)))).one()


def _conditions(chosen: Chosen) -> list[Any]:
    found: list[Any] = [TaskRow.organisation_id.in_(chosen.organisation_ids), TaskRow.deleted_at.is_(None)]
    if chosen.stages:
        found.append(TaskRow.stage.in_(chosen.stages))
    if chosen.text:
        task_id = cast(TaskRow.id, String)
        part = chosen.text.lower()
        in_id = (task_id.startswith(part, autoescape=True), task_id.endswith(part, autoescape=True))
        found.append(or_(TaskRow.title.icontains(chosen.text, autoescape=True), *in_id))
    if chosen.agent_type:
        found.append(TaskRow.agent_type == chosen.agent_type)
    if chosen.created_by:
        found.append(TaskRow.created_by == chosen.created_by)
    if chosen.since:
        ago = isinstance(chosen.since, timedelta)
        found.append(TaskRow.created_at >= (func.pavo_now() - chosen.since if ago else chosen.since))
    return found
