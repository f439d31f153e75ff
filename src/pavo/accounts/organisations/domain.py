"""What members see of their organisations. Pure."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pavo.accounts.domain import Role
from pavo.errors import InvalidInput

MAX_NAME: Final = 200
MAX_OWNED: Final = 20
"""Organisations that one user owns at most: anybody may make some."""
MAX_INVITATIONS: Final = 200
"""Open ones of an organisation."""
INVITATION_LASTS: Final = timedelta(days=7)
LONGEST_INVITATION: Final = timedelta(days=30)
LINK_PREFIX: Final = "pavoinv_"
"""Begins the secret of every invitation by link, so that nobody takes it for an API token."""


@dataclass(frozen=True, slots=True)
class OrganisationOfMine:
    """An organisation as one of its members sees it."""

    id: uuid.UUID
    name: str
    role: Role
    home: bool
    """Whether what this member creates belongs to it."""
    members: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an organisation."""

    user_id: uuid.UUID
    email: str
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that nobody has accepted yet."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    organisation: str
    kind: Literal["email", "link"]
    email: str | None
    """Whom it is for; None: for whoever has the link."""
    role: Role
    invited_by: str | None
    """E-mail address of the owner; None: an operator, or somebody who is no user any more."""
    created_at: datetime
    expires_at: datetime | None
    """None: an operator's, which does not expire."""
    expired: bool


def organisation_name(text: str) -> str:
    """The name, trimmed.

    Raises:
        InvalidInput: it is none.
    """
    name = text.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(
            f"A name has 1 to {MAX_NAME} printable characters.", field="name", remedy="Write one short line."
        )
    return name
