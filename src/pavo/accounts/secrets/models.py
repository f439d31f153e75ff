"""Tables of an organisation's secrets."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class SecretRow(Base):
    """A secret; see `sealing` for what is in the row."""

    __tablename__ = "organisation_secrets"

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """None: an operator, on the command line."""
    set_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class SecretChangeRow(Base):
    """Who set or removed a secret; it outlives the secret, and goes with the organisation."""

    __tablename__ = "organisation_secret_changes"
    __table_args__ = (
        CheckConstraint("change IN ('set', 'removed')", name="change"),
        Index("ix_organisation_secret_changes_organisation_id", "organisation_id", "at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    change: Mapped[str] = mapped_column(Text)
    by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
