"""The table of the journal."""

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


class ModelCallRow(Base):
    """A call of a model: written before it is asked, and again with its answer. What was asked is not kept."""

    __tablename__ = "model_calls"
    __table_args__ = (
        UniqueConstraint("subject_id", "scope", "identity"),
        CheckConstraint("state IN ('started', 'done', 'failed')", name="state"),
        Index(
            *("ix_model_calls_placed", "subject_id", "scope", "place", "request_hash"),
            postgresql_where=text("place IS NOT NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """Whose it is, as its timeline is: a task."""
    scope: Mapped[str] = mapped_column(Text)
    """Within the subject: the version of the plan that is made or executed."""
    identity: Mapped[str] = mapped_column(Text)
    """The same in every attempt: the agent's key, or where the call stands."""
    request_hash: Mapped[str] = mapped_column(Text)
    endpoint: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    """The one that is asked."""
    state: Mapped[str] = mapped_column(Text, server_default="started")
    """failed: it gave no answer, and is asked again when the call is made again."""
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of the attempt that started it last: no other can settle it."""
    runs: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    """How often it was started: once, and once more for each death in its middle and each failure."""
    answer: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    """The chat completion."""
    error: Mapped[str | None] = mapped_column(Text)
    """Why it failed the last time."""
    exhausted: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether that was a budget which did not suffice."""
    place: Mapped[str | None] = mapped_column(Text)
    """Of a call by the gateway: what was under way."""
    number: Mapped[int | None] = mapped_column(Integer)
    """Of such a call: how many equal ones came before it there, and itself."""
    seen_epoch: Mapped[int | None] = mapped_column(BigInteger)
    """Of such a call: the last attempt that made it, also where its answer was recorded."""
    started_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    settled_at: Mapped[datetime | None] = mapped_column(_MOMENT)
