"""What the endpoints of webhooks are handed. `api.create_app` puts the `WebhookService` at `app.state.webhooks`."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.webhooks.service import WebhookService


async def _webhooks(request: Request) -> WebhookService:
    found: WebhookService = request.app.state.webhooks
    return found


TheWebhooks = Annotated[WebhookService, Depends(_webhooks)]
