"""Tables of the webhooks slice. What fills the outbox is in the database: `webhook_enqueue`, migration 0010."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base
from pavo.webhooks.signing_secrets import SecretColumns, SigningSecrets

_MOMENT = DateTime(timezone=True)


class WebhookRow(Base):
    """A receiver of an organisation, and how it has answered lately."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("uq_webhooks_organisation_id_url", "organisation_id", "url", unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Types that it is told of."""
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    """Whether it is told of what happens now, and whether what waits is sent."""
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """None: an operator, on the command line."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    failures: Mapped[int] = mapped_column(server_default="0")
    """Attempts that failed since the last one that did not."""
    failing_since: Mapped[datetime | None] = mapped_column(_MOMENT)
    rests_until: Mapped[datetime | None] = mapped_column(_MOMENT)
    """After a failure nothing is sent to it before this moment."""
    claimed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When something of it was claimed last: whoever waited longest comes first."""
    delivered_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    disabled_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    disabled_reason: Mapped[str | None] = mapped_column(Text)


class WebhookSecretRow(SecretColumns, Base):
    """A secret that signs what is sent."""

    __tablename__ = "webhook_secrets"

    webhook_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), index=True)


SECRETS: Final = SigningSecrets(WebhookSecretRow, "webhook_id", "webhook")


class WebhookDeliveryRow(Base):
    """A message for one receiver: the outbox while it is pending, the log afterwards.

    No foreign key to its webhook: a task's transition, which writes it, must not wait for a lock on that row.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="state"),
        Index("ix_webhook_deliveries_due", "webhook_id", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_webhook_deliveries_log", "webhook_id", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    """The message's id, the same at each attempt: by it a receiver tells a repetition."""
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """Rises from message to message of one task or job, whose row is locked when it is taken."""
    webhook_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    type: Mapped[str] = mapped_column(Text)
    task_id: Mapped[uuid.UUID | None] = mapped_column(Uuid, index=True)
    """The task or the job that it tells of; of others none."""
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Ids and names of stages, nothing that people or agents wrote."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now(), index=True)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    due_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    """When it may be tried; while `claimed`, when the claim ends, by which a deliverer that died is found out."""
    claimed: Mapped[bool] = mapped_column(server_default=text("false"))
    attempts: Mapped[int] = mapped_column(server_default="0")
    """Begun, the one that is under way included. A late result of an older attempt is told by it."""
    attempted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    seconds: Mapped[float | None] = mapped_column(Float)
    """That the last attempt took."""
    status: Mapped[int | None] = mapped_column()
    """HTTP status of the last attempt."""
    error: Mapped[str | None] = mapped_column(Text)
    """Why the last attempt failed."""
