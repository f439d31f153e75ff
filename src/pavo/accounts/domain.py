"""Who somebody is: pure rules about identities, e-mail addresses and the secrets of API tokens."""

import hashlib
import re
import secrets
import unicodedata
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from pavo.errors import InvalidInput, NotFound

Role: TypeAlias = Literal["owner", "member"]

DEV_EMAIL: Final = "dev@pavo.localhost"
"""Whom a request without any identity acts as in dev mode, so that the page and the command line work at once."""

MAX_EMAIL: Final = 254
"""RFC 5321, section 4.5.3.1.3: a path of 256 octets, less its angle brackets."""

TOKEN_PREFIX: Final = "pavo_"
"""Begins every API token, so that secret scanners can find one that leaked."""

SHOWN_PREFIX: Final = len(TOKEN_PREFIX) + 6
"""Characters of a token that are kept in the clear to tell tokens apart; the other 37 stay unknown."""

MAX_TOKEN: Final = 200
"""No token of ours is longer: anything beyond is refused before it is hashed."""

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """A known user and what is theirs: they see and command the tasks of every one of `organisation_ids`."""

    user_id: uuid.UUID
    email: str
    organisation_id: uuid.UUID
    """The home organisation: what this user creates belongs to it."""
    organisation_ids: tuple[uuid.UUID, ...]
    """Every organisation that this user is a member of, the home included."""
    token_expires_at: datetime | None = None
    """When what proves this ends by itself; None: it does not, or (dev mode) it is no token."""
    token_id: uuid.UUID | None = field(default=None, compare=False)
    """The API token that proved it, itself or by the session that it opened; None in dev mode."""
    session_until: datetime | None = field(default=None, compare=False)
    """When the session ends that proved it, if one did."""

    def of(self, organisation_id: uuid.UUID | None) -> tuple[uuid.UUID, ...]:
        """Their organisations, or this one of them.

        Raises:
            NotFound: unknown, or they are no member.
        """
        if organisation_id is None:
            return self.organisation_ids
        if organisation_id not in self.organisation_ids:
            raise NotFound(
                "There is no such organisation.", field="organisation_id", remedy="List those that you are a member of."
            )
        return (organisation_id,)


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in an organisation, as it is at the moment."""

    organisation_id: uuid.UUID
    user_id: uuid.UUID
    role: Role


@dataclass(frozen=True, slots=True)
class Grant:
    """What was allowed, and to whom."""

    kind: str
    """Of the subject."""
    subject_id: uuid.UUID
    organisation_id: uuid.UUID
    """Whose the subject was."""
    who: Identity | None
    """None where the subject's id is the capability (dev mode)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody who watches what is an organisation's, by a token or a session."""

    user_id: uuid.UUID
    organisation_id: uuid.UUID
    token_id: uuid.UUID | None
    session_until: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """What a valid session cookie says."""

    user_id: uuid.UUID
    token_id: uuid.UUID | None
    """The API token that opened the session; None only in dev mode."""
    until: datetime | None = field(default=None, compare=False)
    """When it ends; None for one that is about to begin."""


@dataclass(frozen=True, slots=True)
class OrganisationInfo:
    """An organisation as the command line lists it."""

    id: uuid.UUID
    name: str
    members: tuple[str, ...]
    """E-mail addresses, in the order of joining."""
    invited: tuple[str, ...]
    """E-mail addresses that are invited and have not been seen yet."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """An API token without its secret, which nobody can read again."""

    id: uuid.UUID
    email: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    state: Literal["active", "expired", "revoked"]
    """Whether it opened anything when it was read."""


def normal_email(text: str, *, field: str = "email") -> str:
    """The address in the one spelling under which it is stored: trimmed and lower-cased.

    Raises:
        InvalidInput: it is no address: not one @ with something on both sides, more than 254 characters, or it
            holds spaces or control characters. `field` names where it came from.
    """
    address = unicodedata.normalize("NFC", text.strip()).lower()
    printable = all(character.isprintable() for character in address)
    if len(address) > MAX_EMAIL or not printable or _ADDRESS.fullmatch(address) is None:
        raise InvalidInput(
            "This is no e-mail address.",
            field=field,
            remedy=f"Send an address like ada@example.com, of at most {MAX_EMAIL} characters.",
        )
    return address


def name_of(email: str) -> str:
    """What to call somebody of whom no name is known: the part of the address before its @."""
    return email.rpartition("@")[0]


def parse_user_id(text: str) -> uuid.UUID:
    """Read the header X-User-Id.

    Raises:
        InvalidInput: it is no UUID in its usual form of 36 characters.
    """
    try:
        if len(text) != 36:
            raise ValueError("not 36 characters")
        return uuid.UUID(text)
    except ValueError as error:
        raise InvalidInput(
            "This user id is no UUID.",
            field="X-User-Id",
            remedy="Send a UUID such as 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f, or X-User-Email instead.",
        ) from error


def synthetic_email(user_id: uuid.UUID) -> str:
    """The address of a user of whom only the id is known; `.invalid` can never receive mail (RFC 2606)."""
    return f"user-{user_id}@dev.invalid"


def new_secret() -> str:
    """A new API token: the prefix, then 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """What is stored of a token: SHA-256 in hex. Its 256 random bits need no slow hash, and every request pays it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
