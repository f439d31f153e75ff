"""Tables of the event log. The one function that appends to it, `timeline_append`, is in the migrations."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.sql import Base


class TimelineRow(Base):
    """The head of one timeline. Its row lock is what makes the numbering gapless."""

    __tablename__ = "timelines"
    __table_args__ = {"postgresql_with": {"fillfactor": "70"}}  # noqa: RUF012

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """The id of its subject: a task's, or that of whatever else goes on for a while."""
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Number of the newest event; 0 when there is none."""
    closed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Its subject has ended or was deleted: nothing follows by itself. One that was done may be followed up."""


class EventRow(Base):
    """One event, never changed."""

    __tablename__ = "events"

    timeline_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """1, 2, 3, … without a gap."""
    type: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The event's members beside seq, type and at."""
