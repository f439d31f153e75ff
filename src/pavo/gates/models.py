"""Tables of the gates slice."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Float, ForeignKey, Index, Text, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class GateRow(Base):
    """A durable wait for a person."""

    __tablename__ = "gates"
    __table_args__ = (
        UniqueConstraint("subject_id", "scope", "key", "hash"),
        CheckConstraint("state IN ('open', 'answered', 'expired', 'paused')", name="state"),
        CheckConstraint("may_answer IN ('member', 'owner')", name="may_answer"),
        Index("ix_gates_open", "organisation_id", "opened_at", "id", postgresql_where=text("state = 'open'")),
        Index("ix_gates_organisation", "organisation_id", "opened_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """Whose it is, as its timeline is."""
    subject_kind: Mapped[str] = mapped_column(Text, server_default="task")
    """What that is: the noun of a kind of durable work."""
    scope: Mapped[str] = mapped_column(Text)
    """Within the subject: the version of the plan that is executed."""
    kind: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    """What its owner calls it: the same key with the same hash is the same gate."""
    body: Mapped[str] = mapped_column(Text)
    """What people read."""
    hash: Mapped[str] = mapped_column(Text)
    """SHA-256 of all that people are shown."""
    schema: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """JSON Schema of the answer."""
    choices: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    state: Mapped[str] = mapped_column(Text, server_default="open")
    expires_seconds: Mapped[float | None] = mapped_column(Float)
    expires_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Counted anew whenever it is opened."""
    has_default: Mapped[bool] = mapped_column(server_default=text("false"))
    default_answer: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    may_answer: Mapped[str] = mapped_column(Text, server_default="member")
    """Whose answer counts: any member's, or an owner's alone."""
    answer_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    """Which of its proposed answers is the one; None: none is, or the default."""
    answer: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    answered_by: Mapped[str | None] = mapped_column(Text)
    answered_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    note: Mapped[str] = mapped_column(Text, server_default="")
    opened_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    answered_at: Mapped[datetime | None] = mapped_column(_MOMENT)


class GateAnswerRow(Base):
    """An answer that somebody proposed: the gate's owner takes the first that reaches it."""

    __tablename__ = "gate_answers"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    gate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("gates.id", ondelete="CASCADE"), index=True)
    answer: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    note: Mapped[str] = mapped_column(Text, server_default="")
    by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    by_email: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
