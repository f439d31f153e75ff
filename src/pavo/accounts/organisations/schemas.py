"""Wire shapes of organisations, members and invitations."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pavo.accounts.domain import Role
from pavo.accounts.organisations.domain import INVITATION_LASTS, LONGEST_INVITATION, MAX_NAME
from pavo.kit.texts.fields import Text


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class OrganisationIn(_In):
    """An organisation's name."""

    name: Text = Field(max_length=MAX_NAME)


class OrganisationOut(_Out):
    """An organisation as one of its members sees it."""

    id: uuid.UUID
    name: str
    role: Role
    """Yours."""
    home: bool
    """Whether what you create belongs to it."""
    members: int
    created_at: datetime


class OrganisationList(BaseModel):
    """Your organisations."""

    items: list[OrganisationOut]


class MemberOut(_Out):
    """A member."""

    user_id: uuid.UUID
    email: str
    role: Role
    joined_at: datetime


class MemberList(BaseModel):
    """A page of an organisation's members, in the order of joining."""

    items: list[MemberOut]
    next_cursor: str | None = None


class MemberEdit(_In):
    """A member's role."""

    role: Role


class InvitationCreate(_In):
    """Whom to invite."""

    email: Text | None = Field(None, max_length=320)
    """An address; without one a link is made, for whoever gets it, once."""
    role: Role = "member"
    expires_in_seconds: StrictInt = Field(
        int(INVITATION_LASTS.total_seconds()), ge=60, le=int(LONGEST_INVITATION.total_seconds())
    )


class InvitationOut(_Out):
    """An invitation that nobody has accepted yet."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    organisation: str
    kind: Literal["email", "link"]
    email: str | None
    role: Role
    invited_by: str | None
    created_at: datetime
    expires_at: datetime | None
    expired: bool


class NewInvitationOut(InvitationOut):
    """An invitation that was just made."""

    secret: str | None = None
    """Of a link, shown this once: its holder sends it to POST /api/invitations/accept."""


class InvitationList(BaseModel):
    """Open invitations."""

    items: list[InvitationOut]


class LinkAccept(_In):
    """The secret of an invitation by link."""

    secret: Text = Field(max_length=200)
