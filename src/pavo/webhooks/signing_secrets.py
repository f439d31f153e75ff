"""Secrets that messages are signed with, of webhooks and of triggers: who sends and who receives has the same ones.

A slice has a table of its own with these columns. Every function works in its caller's session.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import DateTime, Text, Uuid, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from pavo.errors import Conflict, InvalidInput
from pavo.kit.ids import new_id
from pavo.webhooks.domain import LONGEST_OVERLAP, MAX_SECRETS, new_secret

_MOMENT: Final = DateTime(timezone=True)


class SecretColumns:
    """A secret. Needed as it is, for both sides have to compute the same signature."""

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    expires_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When it counts no more; None: the newest one."""


class SigningSecrets:
    """Those of one table.

    Args:
        row: its class, with `SecretColumns`.
        owner: the name of its column that says whose they are.
        noun: what people call their owner.
    """

    def __init__(self, row: Any, owner: str, noun: str) -> None:
        self._row, self._owner, self._noun = row, owner, noun

    async def add(self, session: AsyncSession, owner_id: uuid.UUID, secret: str) -> None:
        """One that counts from now on."""
        await session.execute(insert(self._row).values({"id": new_id(), self._owner: owner_id, "secret": secret}))

    async def valid(self, session: AsyncSession, owner_id: uuid.UUID) -> Sequence[str]:
        """Those that count at the moment, the newest first."""
        s = self._row
        counts = or_(s.expires_at.is_(None), s.expires_at > func.pavo_now())
        query = select(s.secret).where(self._mine(owner_id), counts).order_by(s.created_at.desc())
        return (await session.scalars(query)).all()

    async def rotate(self, session: AsyncSession, owner_id: uuid.UUID, overlap: timedelta) -> str:
        """A new one; those before it count for `overlap` still. The caller holds the owner's lock.

        Raises:
            InvalidInput: the time is none.
            Conflict: several rotations still overlap.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            told = f"Secrets overlap for up to {LONGEST_OVERLAP.days} days."
            raise InvalidInput(told, field="overlap", remedy="Give less.")
        s, mine = self._row, self._mine(owner_id)
        await session.execute(delete(s).where(mine, s.expires_at <= func.pavo_now()))
        if (await session.scalars(select(func.count()).select_from(s).where(mine))).one() >= MAX_SECRETS:
            remedy = f"Wait until one has expired; or remove the {self._noun} and add it again."
            raise Conflict(f"{MAX_SECRETS} secrets of this {self._noun} are valid.", remedy=remedy)
        until = func.pavo_now() + overlap
        await session.execute(update(s).where(mine, s.expires_at.is_(None)).values(expires_at=until))
        secret = new_secret()
        await self.add(session, owner_id, secret)
        return secret

    def _mine(self, owner_id: uuid.UUID) -> Any:
        return getattr(self._row, self._owner) == owner_id
