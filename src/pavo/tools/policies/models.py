"""Tables of policies."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class ToolPolicyRow(Base):
    """A word of an organisation, or of one task, on calls of tools."""

    __tablename__ = "tool_policies"
    __table_args__ = (
        CheckConstraint("decision IN ('allow', 'ask', 'deny')", name="decision"),
        CheckConstraint("effect IN ('read', 'idempotent', 'unsafe')", name="effect"),
        Index("ix_tool_policies_organisation", "organisation_id", "id"),
        Index("ix_tool_policies_subject", "subject_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    subject_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """The task whose own it is; None: the organisation's."""
    agent: Mapped[str | None] = mapped_column(Text)
    tool: Mapped[str] = mapped_column(Text)
    effect: Mapped[str | None] = mapped_column(Text)
    arguments: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    """JSON Schema."""
    decision: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, server_default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """None: an operator."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class ToolEffectRow(Base):
    """An organisation's word on what calling a tool does: it makes the tool's own stricter, never looser."""

    __tablename__ = "tool_effects"
    __table_args__ = (CheckConstraint("effect IN ('read', 'idempotent', 'unsafe')", name="effect"),)

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), primary_key=True
    )
    tool: Mapped[str] = mapped_column(Text, primary_key=True)
    effect: Mapped[str] = mapped_column(Text)
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    set_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
