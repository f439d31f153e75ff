"""Tables of triggers. What writes a firing at an end is in the database: `trigger_enqueue`, migration 0043."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Text, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base
from pavo.starts.firings import IS_STATE, FiringColumns
from pavo.webhooks.signing_secrets import SecretColumns, SigningSecrets

_MOMENT: Final = DateTime(timezone=True)
_EMPTY: Final = text("'{}'")


class TriggerRow(Base):
    """What starts something, and what."""

    __tablename__ = "triggers"
    __table_args__ = (
        CheckConstraint("origin IN ('webhook', 'event')", name="origin"),
        Index(
            "uq_triggers_organisation_id_name",
            "organisation_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_triggers_events",
            "organisation_id",
            "event_kind",
            postgresql_where=text("event_kind IS NOT NULL AND deleted_at IS NULL AND paused_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)
    """webhook: signed messages; event: ends."""
    kind: Mapped[str] = mapped_column(Text)
    """Of what is started: task, job, flow."""
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """As one of these is created, with expressions."""
    condition: Mapped[str | None] = mapped_column(Text)
    """An expression; where it is false nothing is started."""
    per_minute: Mapped[int] = mapped_column()
    """Messages that are taken at most."""
    event_kind: Mapped[str | None] = mapped_column(Text)
    """Of what ends: task, job, flow. None: of a webhook."""
    outcomes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=_EMPTY)
    """succeeded, failed, cancelled; none names all."""
    flows: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=_EMPTY)
    """Names of flows whose runs count; none names all."""
    paused_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """None: it goes on."""
    paused_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """None: Pavo did, or somebody who is gone."""
    paused_reason: Mapped[str] = mapped_column(Text, server_default="")
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """Firings in a row that failed."""
    acts_for: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """Whose work it is: who made it, or had it go on last."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    deleted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """It starts nothing more; the row goes once nothing of it is just starting."""


class TriggerSecretRow(SecretColumns, Base):
    """A secret that senders of a trigger's messages sign with."""

    __tablename__ = "trigger_secrets"

    trigger_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(TriggerRow.id, ondelete="CASCADE"), index=True)


class TriggerFiringRow(FiringColumns, Base):
    """A message or an end, and what became of it.

    No foreign key to its trigger: an end, whose transaction writes it, must not wait for that row, nor fail by it.
    """

    __tablename__ = "trigger_firings"
    __table_args__ = (
        UniqueConstraint("trigger_id", "delivery"),
        CheckConstraint(IS_STATE, name="state"),
        Index("ix_trigger_firings_log", "trigger_id", "created_at", "id"),
        Index("ix_trigger_firings_unsettled", "looked_at", postgresql_where=text("state IN ('due', 'starting')")),
        Index("ix_trigger_firings_created_at", "created_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid, primary_key=True, default=new_id, server_default=text("gen_random_uuid()")
    )
    trigger_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    delivery: Mapped[str] = mapped_column(Text)
    """Under which it counts once."""
    event: Mapped[str] = mapped_column(Text, server_default="")
    """What it tells of, as its sender calls it; of ends: task.ended, job.ended, flow.ended."""
    payload: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    """The message's body, or what has ended: ids and names. None: it was null, or was let go."""
    cause_id: Mapped[uuid.UUID | None] = mapped_column()
    """Of an end: what has ended."""
    depth: Mapped[int] = mapped_column(server_default=text("0"))
    """Its place in a chain of triggers that start one another, once it has begun; 0: nobody's end has started it."""
    looked_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When somebody last had it begin."""


SECRETS: Final = SigningSecrets(TriggerSecretRow, "trigger_id", "trigger")
