"""Reading published versions: which there are, and what they say."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pavo.accounts.models import UserRow
from pavo.errors import NotFound
from pavo.flows.ledger.models import FlowReleaseRow, FlowVersionRow
from pavo.flows.ledger.records import FlowVersion, PublishedFlow, Release
from pavo.kit.pagination import Cursor

_OTHER = aliased(FlowReleaseRow)
_CURRENT: Final = (
    select(_OTHER.number)
    .where(_OTHER.organisation_id == FlowVersionRow.organisation_id, _OTHER.name == FlowVersionRow.name)
    .order_by(_OTHER.place.desc())
    .limit(1)
    .scalar_subquery()
)
MAX_NAMED: Final = 20_000
"""Versions that a check of a flow looks child flows up among."""


@dataclass(frozen=True, slots=True)
class WantedFlows:
    """Which flows of a list are meant; None: whatever."""

    q: str | None = None
    """A part of the name."""
    deprecated: bool | None = None
    """Whether the current version is."""


def _versions(organisation_id: uuid.UUID, name: str | None = None) -> Any:
    query: Any = (
        select(
            FlowVersionRow.id,
            FlowVersionRow.organisation_id,
            FlowVersionRow.name,
            FlowVersionRow.number,
            FlowVersionRow.hash,
            FlowVersionRow.published_at,
            UserRow.email,
            FlowVersionRow.deprecated_at,
            FlowVersionRow.deprecated_reason,
            (FlowVersionRow.number == _CURRENT).label("current"),
        )
        .outerjoin(UserRow, UserRow.id == FlowVersionRow.published_by)
        .where(FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.number.is_not(None))
    )
    return query if name is None else query.where(FlowVersionRow.name == name)


def _version(row: Any) -> FlowVersion:
    return FlowVersion(*row[:10])


async def flows(
    session: AsyncSession, organisation_id: uuid.UUID, wanted: WantedFlows, before: Cursor | None, limit: int
) -> list[PublishedFlow]:
    """An organisation's, by their current versions; the one that was published last comes first."""
    other = aliased(FlowVersionRow)
    of_name = (other.organisation_id == FlowVersionRow.organisation_id, other.name == FlowVersionRow.name)
    newest = select(func.max(other.number)).where(*of_name).scalar_subquery()
    query = _versions(organisation_id).where(FlowVersionRow.number == _CURRENT).add_columns(newest.label("newest"))
    if wanted.q is not None:
        query = query.where(FlowVersionRow.name.contains(wanted.q.lower(), autoescape=True))
    if wanted.deprecated is not None:
        query = query.where(FlowVersionRow.deprecated_at.is_not(None) == wanted.deprecated)
    if before is not None:
        here = tuple_(FlowVersionRow.published_at, FlowVersionRow.id)
        query = query.where(here < (before.created_at, before.id))
    rows = await session.execute(
        query.order_by(FlowVersionRow.published_at.desc(), FlowVersionRow.id.desc()).limit(limit)
    )
    return [PublishedFlow(_version(row), row.newest) for row in rows]


async def versions(
    session: AsyncSession, organisation_id: uuid.UUID, name: str, before: int | None, limit: int
) -> list[FlowVersion]:
    """Of a name, the newest first; so many of those below a number."""
    query = _versions(organisation_id, name)
    if before is not None:
        query = query.where(FlowVersionRow.number < before)
    rows = await session.execute(query.order_by(FlowVersionRow.number.desc()).limit(limit))
    return [_version(row) for row in rows]


async def version(
    session: AsyncSession, organisation_id: uuid.UUID, name: str, number: int | None = None
) -> tuple[FlowVersion, str]:
    """One version, and what it says.

    Args:
        number: None: the current one.

    Raises:
        NotFound: there is none.
    """
    query = _versions(organisation_id, name).add_columns(FlowVersionRow.definition)
    query = query.where(FlowVersionRow.number == (_CURRENT if number is None else number))
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise await _none(session, organisation_id, name, number)
    return _version(row), row.definition


async def _none(session: AsyncSession, organisation_id: uuid.UUID, name: str, number: int | None) -> NotFound:
    if number is None or not await versions(session, organisation_id, name, None, 1):
        return NotFound(f"There is no flow {name[:100]!r}.", field="name", remedy="See: pavo flow list")
    told = f"{name} has no version {number}."
    return NotFound(told, field="number", remedy=f"See: pavo flow versions {name}")


async def releases(session: AsyncSession, organisation_id: uuid.UUID, name: str, limit: int) -> list[Release]:
    """Which versions were current, the newest first."""
    query = (
        select(
            FlowReleaseRow.number, FlowReleaseRow.at, UserRow.email, FlowReleaseRow.reason, FlowReleaseRow.rolled_back
        )
        .outerjoin(UserRow, UserRow.id == FlowReleaseRow.by)
        .where(FlowReleaseRow.organisation_id == organisation_id, FlowReleaseRow.name == name)
    )
    rows = await session.execute(query.order_by(FlowReleaseRow.place.desc()).limit(limit))
    return [Release(*row) for row in rows]


async def numbers(session: AsyncSession, organisation_id: uuid.UUID) -> Mapping[str, Sequence[int]] | None:
    """The numbers of all versions by name; None: there are more than can be told."""
    query = select(FlowVersionRow.name, FlowVersionRow.number).where(
        FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.number.is_not(None)
    )
    rows = (await session.execute(query.order_by(FlowVersionRow.name).limit(MAX_NAMED + 1))).all()
    if len(rows) > MAX_NAMED:
        return None
    found: dict[str, list[int]] = {}
    for name, number in rows:
        found.setdefault(name, []).append(number or 0)
    return found
