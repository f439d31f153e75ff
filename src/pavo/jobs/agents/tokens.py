"""What opens a session for remote agents: tokens of an organisation, kept as hashes. Pure rules."""

import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from pavo.errors import InvalidInput

TokenState: TypeAlias = Literal["active", "expired", "revoked"]

PREFIX: Final = "pavo_agent_"
"""Begins every one, so that secret scanners find one that leaked, and nobody takes it for an API token."""
SHOWN_PREFIX: Final = len(PREFIX) + 6
"""Characters that are kept in the clear to tell tokens apart; the other 37 stay unknown."""
MAX_TOKEN: Final = 200
"""None of ours is longer: anything beyond is refused before it is hashed."""
MAX_TOKENS: Final = 1_000
"""Of one organisation that open something: one for each agent of a fleet."""
MAX_NAME: Final = 200
LONGEST: Final = timedelta(days=3650)
AGENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
"""How an agent is called within its organisation: it stands in addresses, logs and command lines."""


@dataclass(frozen=True, slots=True)
class AgentToken:
    """A token without its secret, which nobody can read again."""

    id: uuid.UUID
    name: str
    prefix: str
    agent: str | None
    """The only name that it opens a session for; None: any."""
    state: TokenState
    created_by: str | None
    """Address of who made it; None: an operator, or somebody who is gone."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    """When a session was opened with it last."""


@dataclass(frozen=True, slots=True)
class CreatedAgentToken:
    """A new token and its secret, which is shown this once."""

    token: AgentToken
    secret: str


@dataclass(frozen=True, slots=True)
class AgentGrant:
    """What a token opens."""

    token_id: uuid.UUID
    organisation_id: uuid.UUID | None
    """None: the operator's; its agents serve every organisation."""
    agent: str | None
    """As in `AgentToken`."""


def new_agent_secret() -> str:
    """A new token: the prefix, then 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def checked_agent_name(name: str, field: str = "agent") -> str:
    """An agent's name.

    Raises:
        InvalidInput: it is none.
    """
    text = name.strip()
    if not AGENT_NAME.fullmatch(text):
        remedy = "Use a letter or digit, then at most 99 letters, digits and _ . - in ASCII."
        raise InvalidInput(f"{name[:100]!r} is no name of an agent.", field=field, remedy=remedy)
    return text


def checked_token_name(name: str) -> str:
    """What a token is for.

    Raises:
        InvalidInput: it is empty, too long, or not printable.
    """
    text = name.strip()
    if not text or len(text) > MAX_NAME or not text.isprintable():
        remedy = f"Write one short line of at most {MAX_NAME} characters."
        raise InvalidInput("This is no name of a token.", field="name", remedy=remedy)
    return text


def checked_time(lasts: timedelta | None) -> timedelta | None:
    """How long a token opens anything.

    Raises:
        InvalidInput: no time at all, or more than ten years.
    """
    if lasts is not None and not timedelta(0) < lasts <= LONGEST:
        told = "A token lives between a moment and ten years."
        raise InvalidInput(told, field="expires_in_seconds", remedy="Choose a time in between.")
    return lasts
