"""Wire shapes of webhooks."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from pavo.kit.texts.fields import Text
from pavo.webhooks.domain import LONGEST_OVERLAP, MAX_DESCRIPTION, MAX_URL, OVERLAP, EventType

Url = Annotated[Text, Field(max_length=MAX_URL)]
Description = Annotated[Text, Field(max_length=MAX_DESCRIPTION)]
Events = Annotated[list[EventType], Field(max_length=50)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class WebhookCreate(_Wire):
    """A receiver."""

    url: Url
    """https://…, at a public address."""
    events: Events = []
    """What it is told of; empty means everything."""
    description: Description = ""


class WebhookEdit(_Wire):
    """What is to change."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: StrictBool | None = None
    """true also ends what failure has disabled; what waits is sent at once."""


class WebhookRotate(_Wire):
    """How the secrets overlap."""

    overlap_seconds: StrictInt = Field(int(OVERLAP.total_seconds()), ge=0, le=int(LONGEST_OVERLAP.total_seconds()))
    """How long the secrets before the new one go on signing as well."""


class WebhookOut(BaseModel):
    """A webhook, without its secrets."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: uuid.UUID
    url: str
    description: str
    events: list[EventType]
    enabled: bool
    created_at: datetime
    failures: int
    """Attempts that failed since the last that did not."""
    failing_since: datetime | None
    delivered_at: datetime | None
    """When it took a message last."""
    disabled_at: datetime | None
    """When failure disabled it."""
    disabled_reason: str | None
    waiting: int
    """Messages that are not delivered yet."""
    secrets: int
    """Valid at the moment: two while a rotation's overlap lasts."""


class WebhookWithSecretOut(WebhookOut):
    """A webhook with its newest secret."""

    secret: str
    """Shown this once."""


class WebhookList(BaseModel):
    """An organisation's webhooks."""

    items: list[WebhookOut]


class DeliveryOut(BaseModel):
    """A message for a webhook."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: uuid.UUID
    """The header webhook-id."""
    webhook_id: uuid.UUID
    type: str
    data: dict[str, Any]
    created_at: datetime
    state: Literal["pending", "delivered", "given_up"]
    attempts: int
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    seconds: float | None
    """That the last attempt took."""
    status: int | None
    """HTTP status of the last attempt."""
    error: str | None
    """Why the last attempt failed."""


class DeliveryPage(BaseModel):
    """A page of a webhook's log."""

    items: list[DeliveryOut]
    next_cursor: str | None
