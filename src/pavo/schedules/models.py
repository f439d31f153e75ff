"""Tables of schedules. Whatever a row says is the truth; the schedule in Temporal mirrors it."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base
from pavo.starts.firings import IS_STATE, FiringColumns

_MOMENT = DateTime(timezone=True)
OVERLAPS: Final = ("SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL")
_NAMED = ", ".join(f"'{each}'" for each in OVERLAPS)


class ScheduleRow(Base):
    """When something is started, what, and what then becomes of what it started before."""

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint(f"overlap IN ({_NAMED})", name="overlap"),
        Index(
            "uq_schedules_organisation_id_name",
            "organisation_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(server_default=text("1"))
    """One more with each change."""
    mirrored: Mapped[int] = mapped_column(server_default=text("0"))
    """The version that Temporal has."""
    kind: Mapped[str] = mapped_column(Text)
    """Of what is started: task, job, flow."""
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """As one of these is created."""
    times: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """A `TimesSpec`."""
    overlap: Mapped[str] = mapped_column(Text)
    catch_up_seconds: Mapped[int] = mapped_column(BigInteger)
    """What could not start in time starts later by so much at most."""
    paused_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """None: it goes on."""
    paused_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    paused_reason: Mapped[str] = mapped_column(Text, server_default="")
    acts_for: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """Whose tasks and jobs these are: who changed it last."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    changed_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    """When it got its version."""
    looked_until: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    """Every time up to this one has its firing, or was missed."""
    looked_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When somebody last had its firings begin."""
    missed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Times that nothing started at, and that are too long ago to be caught up."""
    deleted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """It starts nothing more; the row goes once its mirror is gone."""


class FiringRow(FiringColumns, Base):
    """One time of a schedule, and what became of it."""

    __tablename__ = "schedule_firings"
    __table_args__ = (
        UniqueConstraint("schedule_id", "nominal_at"),
        CheckConstraint(IS_STATE, name="state"),
        CheckConstraint(f"overlap IN ({_NAMED})", name="overlap"),
        Index(
            "ix_schedule_firings_unsettled",
            "schedule_id",
            "nominal_at",
            postgresql_where=text("state IN ('due', 'starting') OR (state = 'started' AND ended_at IS NULL)"),
        ),
    )

    schedule_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(ScheduleRow.id, ondelete="CASCADE"))
    nominal_at: Mapped[datetime] = mapped_column(_MOMENT)
    """When it was to be, without jitter."""
    reason: Mapped[str] = mapped_column(Text)
    """schedule, catch_up, trigger or backfill."""
    overlap: Mapped[str] = mapped_column(Text)
