"""The table of the transcripts slice."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.sql import Base


class TranscriptMessageRow(Base):
    """One message. Written by `tasks/sql/steps` alone, in the statement that records its checkpoint; never changed."""

    __tablename__ = "transcript_messages"

    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"), primary_key=True)
    """Whose it is, as its timeline is: a task."""
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    """Of the plan that was worked off."""
    step: Mapped[int] = mapped_column(Integer)
    """The number of the checkpoint that it was recorded with."""
    body: Mapped[str] = mapped_column(Text)
    """A JSON object; as text, for its members keep their order: a model's server knows a conversation again by its
    bytes."""
    bytes: Mapped[int] = mapped_column(Integer)
    """Of the body, so that windows are measured without reading it."""
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
