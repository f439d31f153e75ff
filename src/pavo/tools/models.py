"""The table of the ledger."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class ToolCallRow(Base):
    """A call of a tool: written before it runs, and again when its outcome is known."""

    __tablename__ = "tool_calls"
    __table_args__ = (
        UniqueConstraint("subject_id", "scope", "identity"),
        CheckConstraint("state IN ('asked', 'denied', 'started', 'unknown', 'done', 'failed', 'same')", name="state"),
        CheckConstraint("effect IN ('read', 'idempotent', 'unsafe')", name="effect"),
        Index(
            *("ix_tool_calls_unsettled", "subject_id", "scope", "tool", "arguments_hash"),
            postgresql_where=text("state IN ('started', 'unknown')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    """Its idempotency key too."""
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """Whose it is, as its timeline is: a task."""
    scope: Mapped[str] = mapped_column(Text)
    """Within the subject: the version of the plan that is executed."""
    identity: Mapped[str] = mapped_column(Text)
    """The same in every attempt: the agent's key, or where the call stands."""
    tool: Mapped[str] = mapped_column(Text)
    arguments: Mapped[Any] = mapped_column(JSONB)
    arguments_hash: Mapped[str] = mapped_column(Text)
    effect: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="started")
    """asked: people are asked before it begins. denied: it never began, or is not run again. same: it is the call
    `same_as`, under another identity."""
    same_as: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tool_calls.id", ondelete="CASCADE"), index=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of the attempt that started it last: no other can settle it."""
    runs: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    """How often it was started."""
    asked: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many questions about its outcome were answered with something else than its outcome."""
    approval_hash: Mapped[str | None] = mapped_column(Text)
    """That of the question whether it may begin, where people were asked."""
    approval_rule: Mapped[str | None] = mapped_column(Text)
    """What had them asked."""
    outcome: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    error: Mapped[str | None] = mapped_column(Text)
    remedy: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    settled_at: Mapped[datetime | None] = mapped_column(_MOMENT)
