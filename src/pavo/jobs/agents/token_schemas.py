"""Wire shapes of agents' tokens."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pavo.jobs.agents.tokens import MAX_NAME, TokenState
from pavo.kit.texts.fields import Text


class AgentTokenCreate(BaseModel):
    """A new token for agents."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Text = Field(max_length=MAX_NAME)
    """What it is for, to recognise it by."""
    agent: Text | None = Field(None, max_length=100)
    """The only name of an agent that it opens a session for; null: any."""
    expires_in_seconds: StrictInt | None = Field(None, ge=60, le=3650 * 86_400)
    """How long it opens anything; without it until it is revoked."""


class AgentTokenOut(BaseModel):
    """A token for agents, without its secret."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: uuid.UUID
    name: str
    prefix: str
    """The beginning of its secret."""
    agent: str | None
    """The only name of an agent that it opens a session for; null: any."""
    state: TokenState
    created_by: str | None
    """Address of who made it; null: an operator, or somebody who is gone."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    """When a session was opened with it last."""


class NewAgentTokenOut(AgentTokenOut):
    """A new token for agents."""

    secret: str
    """Shown this once."""


class AgentTokenList(BaseModel):
    """An organisation's tokens for agents, newest first."""

    items: list[AgentTokenOut]
