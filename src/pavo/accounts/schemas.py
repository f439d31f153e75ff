"""Wire shapes of the session endpoints."""

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OpenSession(BaseModel):
    """What opens a session: an API token, or (dev mode only) an e-mail address."""

    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(None, max_length=200)
    """An API token (`pavo token create`)."""
    email: str | None = Field(None, max_length=320)
    """Dev mode: the address of whoever you want to be."""


class PersonOut(BaseModel):
    """Who said or decided something."""

    id: uuid.UUID | None
    """The user; null where it was none (a policy), or one who was not kept."""
    email: str | None
    name: str
    """What to call them: what stands before the @ of the address."""


class SessionView(BaseModel):
    """Who the API takes you for."""

    user_id: uuid.UUID
    email: str
    organisation_id: uuid.UUID
    auth: Literal["dev", "token"]
    """The mode of authentication: what a log-in page has to ask for."""
