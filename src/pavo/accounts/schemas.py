"""Wire shapes of the session endpoints."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pavo.kit.texts.fields import Text


class OpenSession(BaseModel):
    """What opens a session: an API token, or (dev mode only) an e-mail address."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    token: Text | None = Field(None, max_length=200)
    """An API token (`pavo token create`)."""
    email: Text | None = Field(None, max_length=320)
    """Dev mode: the address of whoever you want to be."""


class PersonOut(BaseModel):
    """Who said or decided something."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID | None
    """The user; null where it was none (a policy), or one who was not kept."""
    email: str | None
    name: str
    """What to call them: what stands before the @ of the address."""


class SessionView(BaseModel):
    """Who the API takes you for."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    user_id: uuid.UUID
    email: str
    organisation_id: uuid.UUID
    auth: Literal["dev", "token"]
    """The mode of authentication: what a log-in page has to ask for."""


class TokenCreate(BaseModel):
    """A new API token."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Text = Field(max_length=200)
    """What it is for, to recognise it by."""
    expires_in_seconds: StrictInt | None = Field(None, ge=60, le=3650 * 86_400)
    """How long it opens anything; without it until it is revoked."""


class TokenOut(BaseModel):
    """An API token, without its secret."""

    id: uuid.UUID
    name: str
    prefix: str
    """The beginning of its secret."""
    state: Literal["active", "expired", "revoked"]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenWithSecretOut(TokenOut):
    """A new API token."""

    secret: str
    """Shown this once."""


class TokenList(BaseModel):
    """Your API tokens."""

    items: list[TokenOut]
