"""Tables of the event log, and the one function that appends to it."""

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
    """The task's id."""
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Number of the newest event; 0 when there is none."""
    closed: Mapped[bool] = mapped_column(server_default=text("false"))
    """After DONE or deletion: nothing will follow."""


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


APPEND_FUNCTION = """
CREATE OR REPLACE FUNCTION timeline_append(p_timeline uuid, p_events jsonb, p_close boolean DEFAULT false)
RETURNS TABLE (first_seq bigint, at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint := jsonb_array_length(p_events);
    v_last bigint;
    v_at timestamptz := date_trunc('microseconds', clock_timestamp());
BEGIN
    UPDATE timelines t SET last_seq = t.last_seq + v_count, closed = t.closed OR p_close
        WHERE t.id = p_timeline AND (p_close OR NOT t.closed) RETURNING t.last_seq INTO v_last;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM timelines t WHERE t.id = p_timeline) THEN
            RAISE EXCEPTION 'timeline % is closed', p_timeline USING ERRCODE = 'check_violation';
        END IF;
        RAISE EXCEPTION 'timeline % does not exist', p_timeline USING ERRCODE = 'no_data_found';
    END IF;
    INSERT INTO events (timeline_id, seq, type, at, data)
        SELECT p_timeline, v_last - v_count + e.n, e.value ->> 'type', v_at, e.value - 'type'
        FROM jsonb_array_elements(p_events) WITH ORDINALITY AS e(value, n);
    RETURN QUERY SELECT v_last - v_count + 1, v_at;
END $$
"""
"""A function in the database, so that another slice's single statement can record its own row and append the events
that belong to it: the head's lock orders writers, and both commit or neither. A closed timeline takes nothing more but
its task's deletion: who watched it to its end has seen all of it."""
