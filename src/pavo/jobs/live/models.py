"""Tables of what those who watch organisations are told."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class JobChangeRow(Base):
    """A change of a job or of its queue, for those who watch an organisation; triggers write it.

    Read in the order of `xid` below the oldest transaction under way, so that none comes in before one that was read.
    """

    __tablename__ = "job_changes"
    __table_args__ = (Index("ix_job_changes_at", "at"),)

    organisation_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Of the transaction that made it."""
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(_MOMENT)
    job_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    """None: the queue itself changed."""
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class JobLogAdditionRow(Base):
    """Which lines one statement stored, for those who watch an organisation: every number between the two, each once.

    Read together with the changes, in the same order, by a number of the same sequence.
    """

    __tablename__ = "job_log_additions"
    __table_args__ = (Index("ix_job_log_additions_at", "at"),)

    organisation_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Of the transaction that stored them."""
    id: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, server_default=text("nextval('job_changes_id_seq')")
    )
    at: Mapped[datetime] = mapped_column(_MOMENT)
    job_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(BigInteger)
    first_seq: Mapped[int] = mapped_column(BigInteger)
    last_seq: Mapped[int] = mapped_column(BigInteger)
