"""SQL of repositories. Every function works in its caller's session and commits nothing."""

import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import UserRow
from pavo.jobs import domain as d
from pavo.jobs.repositories.domain import Check, Repository, RepositoryValues
from pavo.jobs.sql.models import JobRow, RepositoryRow

_ROW = RepositoryRow


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many are there?"""
    query = select(func.count()).where(_ROW.organisation_id == organisation_id, _ROW.deleted_at.is_(None))
    return (await session.execute(query)).scalar_one()


async def add(
    session: AsyncSession, organisation_id: uuid.UUID, values: RepositoryValues, by: uuid.UUID | None
) -> uuid.UUID | None:
    """A new one; None: its name is taken."""
    row = {**_columns(values), "organisation_id": organisation_id, "created_by": by}
    statement = insert(_ROW).values(**row).on_conflict_do_nothing().returning(_ROW.id)
    return (await session.scalars(statement)).one_or_none()


async def find(session: AsyncSession, organisation_id: uuid.UUID, repository_id: uuid.UUID) -> Repository | None:
    """One of the organisation's."""
    found = await _all(session, organisation_id, _ROW.id == repository_id)
    return found[0] if found else None


async def named(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> Repository | None:
    """The one with this name."""
    found = await _all(session, organisation_id, _ROW.name == name)
    return found[0] if found else None


async def all_of(session: AsyncSession, organisation_id: uuid.UUID) -> list[Repository]:
    """The organisation's, by name."""
    return await _all(session, organisation_id)


async def lock(
    session: AsyncSession, organisation_id: uuid.UUID, repository_id: uuid.UUID, *, shared: bool = False
) -> bool:
    """Hold it until the session ends: nobody changes or removes it, and no job is added to it; False: there is none.

    Args:
        shared: with others that add jobs to it.
    """
    query = select(_ROW.id).where(*_live(organisation_id), _ROW.id == repository_id).with_for_update(read=shared)
    return (await session.scalars(query)).one_or_none() is not None


async def is_taken(session: AsyncSession, organisation_id: uuid.UUID, name: str, but: uuid.UUID) -> bool:
    """Whether another one has this name."""
    query = select(_ROW.id).where(*_live(organisation_id), _ROW.name == name, _ROW.id != but)
    return (await session.scalars(query)).first() is not None


async def change(session: AsyncSession, repository_id: uuid.UUID, values: RepositoryValues) -> None:
    """Set all values."""
    changed = {**_columns(values), "updated_at": func.pavo_now()}
    await session.execute(update(_ROW).where(_ROW.id == repository_id).values(**changed))


async def open_jobs(session: AsyncSession, repository_id: uuid.UUID) -> int:
    """How many of its jobs are queued or in progress?"""
    query = select(func.count()).where(
        JobRow.repository_id == repository_id,
        JobRow.stage.in_((d.QUEUED, *d.IN_PROGRESS)),
        JobRow.deleted_at.is_(None),
    )
    return (await session.execute(query)).scalar_one()


async def remove(session: AsyncSession, repository_id: uuid.UUID) -> None:
    """It takes no more jobs, and its name is free."""
    await session.execute(update(_ROW).where(_ROW.id == repository_id).values(deleted_at=func.pavo_now()))


def _live(organisation_id: uuid.UUID) -> tuple[Any, ...]:
    return _ROW.organisation_id == organisation_id, _ROW.deleted_at.is_(None)


async def _all(session: AsyncSession, organisation_id: uuid.UUID, *which: Any) -> list[Repository]:
    query = (
        select(_ROW, UserRow.email)
        .outerjoin(UserRow, UserRow.id == _ROW.created_by)
        .where(*_live(organisation_id), *which)
        .order_by(_ROW.name)
        .execution_options(populate_existing=True)
    )
    return [_repository(*row) for row in (await session.execute(query)).all()]


def _repository(row: RepositoryRow, email: str | None) -> Repository:
    names = (each for each in RepositoryValues.__dataclass_fields__ if each not in ("prepare", "verify"))
    values = RepositoryValues(
        **{name: getattr(row, name) for name in names},
        prepare=tuple(Check(**each) for each in row.prepare),
        verify=tuple(Check(**each) for each in row.verify),
    )
    return Repository(row.id, values, email, row.created_at, row.updated_at)


def _columns(values: RepositoryValues) -> dict[str, Any]:
    return {**asdict(values), "prepare": list(map(asdict, values.prepare)), "verify": list(map(asdict, values.verify))}
