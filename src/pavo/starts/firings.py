"""Firings: a row for each time that something is to be started, and the SQL of how it begins, whoever has it begin.

A slice has a table of its own with these columns. Every function works in its caller's session.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import CursorResult, DateTime, Text, Uuid, func, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.ids import new_id

DUE: Final = "due"
STARTING: Final = "starting"
STARTED: Final = "started"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"
STATES: Final = (DUE, STARTING, STARTED, SKIPPED, FAILED)
IS_STATE: Final = f"state IN ({', '.join(repr(each) for each in STATES)})"
_MOMENT: Final = DateTime(timezone=True)


class FiringColumns:
    """What every firing has."""

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    state: Mapped[str] = mapped_column(Text, server_default=DUE)
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    """One more each time that it is to start again: a part of the key under which something is made."""
    kind: Mapped[str | None] = mapped_column(Text)
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What is started, as it was said when that began: a retry starts the same."""
    acts_for: Mapped[uuid.UUID | None] = mapped_column()
    subject_id: Mapped[uuid.UUID | None] = mapped_column()
    """The task, job or run."""
    told: Mapped[str] = mapped_column(Text, server_default="")
    """Why it was skipped, failed, or waits."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    started_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When it was noticed that the subject is over; None: it is open, as far as is known."""
    outcome: Mapped[str | None] = mapped_column(Text)
    """The subject's stage then: DONE, FAILED, …, or gone."""


R = TypeVar("R", bound=FiringColumns)


class Firings(Generic[R]):
    """How firings of one table begin.

    Args:
        row: its class.
    """

    def __init__(self, row: type[R]) -> None:
        self._row: Any = row

    async def begin(
        self,
        session: AsyncSession,
        firing_id: uuid.UUID,
        kind: str,
        body: Mapping[str, Any],
        acts_for: uuid.UUID | None,
    ) -> R:
        """It is starting from now on, and what. The caller holds a lock under which it is due."""
        f = self._row
        values = {"state": STARTING, "kind": kind, "body": body, "acts_for": acts_for, "told": ""}
        statement = update(f).where(f.id == firing_id).values(values).returning(f)
        found: R = (await session.scalars(statement.execution_options(populate_existing=True))).one()
        return found

    async def note_subject(self, session: AsyncSession, firing: R, subject_id: uuid.UUID) -> None:
        """What was made for it."""
        await session.execute(update(self._row).where(*self._mine(firing)).values(subject_id=subject_id))

    async def started(self, session: AsyncSession, firing: R) -> datetime | None:
        """It has begun; when. None: that was known."""
        f = self._row
        mine = (*self._mine(firing), f.state.in_((STARTING, FAILED)))
        values = {"state": STARTED, "started_at": func.pavo_now(), "told": ""}
        found: datetime | None = (
            await session.scalars(update(f).where(*mine).values(values).returning(f.started_at))
        ).one_or_none()
        return found

    async def failed(self, session: AsyncSession, firing: R, told: str) -> bool:
        """It cannot begin; False: it has."""
        mine = (*self._mine(firing), self._row.state == STARTING)
        return await changed(session, update(self._row).where(*mine).values(state=FAILED, told=told)) > 0

    async def skip(self, session: AsyncSession, firing_id: uuid.UUID, why: str) -> None:
        """It never begins."""
        mine = (self._row.id == firing_id, self._row.state == DUE)
        await session.execute(update(self._row).where(*mine).values(state=SKIPPED, told=why))

    async def ended(self, session: AsyncSession, outcomes: Mapping[uuid.UUID, str]) -> None:
        """What these firings started is over, and what became of it."""
        f = self._row
        for firing_id, outcome in outcomes.items():
            mine = (f.id == firing_id, f.state == STARTED, f.ended_at.is_(None))
            await session.execute(update(f).where(*mine).values(ended_at=func.pavo_now(), outcome=outcome))

    async def find(self, session: AsyncSession, firing_id: uuid.UUID) -> R | None:
        """One, as it is now."""
        found: R | None = await session.get(self._row, firing_id, populate_existing=True)
        return found

    def _mine(self, firing: R) -> tuple[Any, ...]:
        return (self._row.id == firing.id, self._row.attempt == firing.attempt)


async def changed(session: AsyncSession, statement: Any) -> int:
    """How many rows a statement has changed."""
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
