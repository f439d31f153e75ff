"""Tables of the accounts slice."""

import uuid
from datetime import datetime
from typing import Literal

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.domain import Role
from pavo.kit.ids import new_id
from pavo.kit.sql import Base


class OrganisationRow(Base):
    """Owns tasks and documents: its members see and command all of them."""

    __tablename__ = "organisations"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class UserRow(Base):
    """Somebody with an e-mail address."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_lower"),
        Index("uq_users_email", "email", unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(Text)
    """In lower case, as `domain.normal_email` writes it: the unique index makes one user of every spelling."""
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    """Home: what this user creates belongs to this organisation."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class MembershipRow(Base):
    """A user's place in an organisation."""

    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint("role IN ('owner', 'member')", name="role"),
        Index("ix_memberships_user_id", "user_id"),
    )

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organisations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[Literal["owner", "member"]] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class InvitationRow(Base):
    """An e-mail address that may join an organisation; by an operator's invitation it does so on first sight."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_lower"),
        Index("uq_invitations_organisation_id_email", "organisation_id", "email", unique=True),
        Index("ix_invitations_email", "email"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(Text)
    invited_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    """None: an operator, on the command line, whose invitation needs no acceptance."""
    role: Mapped[Role] = mapped_column(String(16), server_default="member")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """None: an operator's."""
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class InvitationLinkRow(Base):
    """An invitation for whoever has its secret, once; of the secret only the hash is kept."""

    __tablename__ = "invitation_links"
    __table_args__ = (Index("uq_invitation_links_hash", "hash", unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id", ondelete="CASCADE"), index=True)
    hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the secret, in hex."""
    role: Mapped[Role] = mapped_column(String(16))
    invited_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    accepted_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class ApiTokenRow(Base):
    """An API token; of its secret only the hash is kept."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        Index("uq_api_tokens_hash", "hash", unique=True),
        Index("ix_api_tokens_user_id", "user_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(String(16))
    """First characters of the secret, by which people tell tokens apart."""
    hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the secret, in hex."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Written at most once a minute."""
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
