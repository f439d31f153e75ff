"""Idempotency keys: the same request, sent again with its key, makes the same thing once, whatever its kind.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ describes the header.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import BaseModel
from sqlalchemy import DateTime, ForeignKey, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, IdempotencyMismatch, InvalidInput
from pavo.kit.sql import Base

HEADER: Final = "Idempotency-Key"


class IdempotencyRow(Base):
    """A creation that was asked for with an Idempotency-Key."""

    __tablename__ = "idempotency_keys"

    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    """What was made: the noun of its kind."""
    subject_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    """The id of what was made; NULL in rows of the version before, which have a task's id below."""
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    """The task that it belongs to: a key of something else goes with it. Of a task itself a trigger fills it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A creation with a key, before anything is made."""

    key: str
    hash: str
    """SHA-256 of what is asked for, in hex."""
    kind: str


class Repeated(Exception):
    """The key has made something before: leave the transaction without a trace, and answer with that.

    Args:
        subject_id: of what it made.
    """

    def __init__(self, subject_id: uuid.UUID) -> None:
        super().__init__(str(subject_id))
        self.subject_id = subject_id


def request_of(key: str, kind: str, wanted: BaseModel) -> KeyedRequest:
    """Judge a key.

    Raises:
        InvalidInput: it is no key.
    """
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise InvalidInput(f"An {HEADER} has 1 to 255 printable characters.", field=HEADER, remedy="Use a UUID.")
    return KeyedRequest(key, hashlib.sha256(wanted.model_dump_json().encode()).hexdigest(), kind)


async def claim(
    session: AsyncSession,
    who: Identity,
    request: KeyedRequest,
    subject_id: uuid.UUID,
    *,
    task_id: uuid.UUID | None = None,
) -> None:
    """Take the key for what is being made in this transaction.

    Args:
        task_id: the task with which the key goes.

    Raises:
        Repeated: the same request has taken it before.
        IdempotencyMismatch: another request has.
    """
    row = {
        "organisation_id": who.organisation_id,
        "user_id": who.user_id,
        "key": request.key,
        "request_hash": request.hash,
        "kind": request.kind,
        "subject_id": subject_id,
        "task_id": task_id,
    }
    taken = insert(IdempotencyRow).values(**row).on_conflict_do_nothing().returning(IdempotencyRow.key)
    if (await session.execute(taken)).one_or_none():
        return
    mine = [getattr(IdempotencyRow, name) == row[name] for name in ("organisation_id", "user_id", "key")]
    found = (await session.scalars(select(IdempotencyRow).where(*mine))).one()
    if (found.kind, found.request_hash) != (request.kind, request.hash):
        raise IdempotencyMismatch(
            f"This {HEADER} was used for another request.", field=HEADER, remedy="Use a new key for a new request."
        )
    made = found.subject_id or found.task_id
    assert made is not None, "the trigger fills both"
    raise Repeated(made)


async def key_of(session: AsyncSession, organisation_id: uuid.UUID, subject_id: uuid.UUID) -> str | None:
    """The key under which something was made; None: it was made without one."""
    mine = (IdempotencyRow.subject_id == subject_id, IdempotencyRow.organisation_id == organisation_id)
    return (await session.scalars(select(IdempotencyRow.key).where(*mine).limit(1))).one_or_none()


def gone(kind: str) -> Conflict:
    """The answer where what a key has made was deleted since."""
    return Conflict(
        f"The {kind} that was created with this {HEADER} exists no more.",
        field=HEADER,
        remedy=f"Use a new key to create another {kind}.",
    )
