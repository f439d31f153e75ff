"""The table of organisations' endpoints."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.sql import Base


class ModelEndpointRow(Base):
    """An endpoint of an organisation. Its key is a secret, which is named, and may be gone."""

    __tablename__ = "model_endpoints"

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    base_url: Mapped[str] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    secret: Mapped[str | None] = mapped_column(Text)
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """None: an operator, on the command line."""
    set_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
