"""HTTP of webhooks, for owners of the organisation: parse, call one service method, return."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from pavo.accounts.dependencies import OwnedOrganisation
from pavo.kit.problem import problems
from pavo.webhooks.dependencies import TheWebhooks
from pavo.webhooks.schemas import (
    DeliveryOut,
    DeliveryPage,
    WebhookCreate,
    WebhookEdit,
    WebhookList,
    WebhookOut,
    WebhookRotate,
    WebhookWithSecretOut,
)
from pavo.webhooks.service import MAX_PAGE, DeliveryState, WebhookWithSecret

router = APIRouter(
    prefix="/api/organisations/{organisation_id}/webhooks",
    tags=["webhooks"],
    responses=problems(401, 404, 422),
)


@router.post("", status_code=201, operation_id="create_webhook", responses=problems(409))
async def create_webhook(webhooks: TheWebhooks, owner: OwnedOrganisation, new: WebhookCreate) -> WebhookWithSecretOut:
    """Add a receiver. Its secret is shown this once; an address that is there already answers 409."""
    added = await webhooks.add(
        owner.organisation_id, new.url, events=new.events, description=new.description, created_by=owner.user_id
    )
    return _with_secret(added)


@router.get("", operation_id="list_webhooks")
async def list_webhooks(webhooks: TheWebhooks, owner: OwnedOrganisation) -> WebhookList:
    """The organisation's webhooks, oldest first."""
    found = await webhooks.all_of(owner.organisation_id)
    return WebhookList(items=[WebhookOut.model_validate(each) for each in found])


@router.get("/{webhook_id}", operation_id="get_webhook")
async def get_webhook(webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID) -> WebhookOut:
    """One webhook, and how it has answered lately."""
    return WebhookOut.model_validate(await webhooks.get(owner.organisation_id, webhook_id))


@router.patch("/{webhook_id}", operation_id="edit_webhook", responses=problems(409))
async def edit_webhook(
    webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID, changed: WebhookEdit
) -> WebhookOut:
    """Change a webhook, or enable it again."""
    edited = await webhooks.change(
        owner.organisation_id,
        webhook_id,
        url=changed.url,
        events=changed.events,
        description=changed.description,
        enabled=changed.enabled,
    )
    return WebhookOut.model_validate(edited)


@router.delete("/{webhook_id}", status_code=204, operation_id="delete_webhook")
async def delete_webhook(webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID) -> None:
    """Remove a webhook; what waits for it is not sent any more."""
    await webhooks.remove(owner.organisation_id, webhook_id)


@router.post("/{webhook_id}/rotate", operation_id="rotate_webhook", responses=problems(409))
async def rotate_webhook(
    webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID, wanted: WebhookRotate | None = None
) -> WebhookWithSecretOut:
    """Make a new secret; those before it go on signing for a while."""
    overlap = timedelta(seconds=(wanted or WebhookRotate.model_validate({})).overlap_seconds)
    return _with_secret(await webhooks.rotate(owner.organisation_id, webhook_id, overlap))


@router.post("/{webhook_id}/test", status_code=202, operation_id="test_webhook", responses=problems(409))
async def test_webhook(webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID) -> DeliveryOut:
    """Send a test message; how it ends is in the log."""
    return DeliveryOut.model_validate(await webhooks.test(owner.organisation_id, webhook_id))


@router.get("/{webhook_id}/deliveries", operation_id="list_deliveries")
async def list_deliveries(
    webhooks: TheWebhooks,
    owner: OwnedOrganisation,
    webhook_id: uuid.UUID,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: str | None = None,
) -> DeliveryPage:
    """The webhook's log of the last 30 days, newest first."""
    page = await webhooks.deliveries(owner.organisation_id, webhook_id, state=state, cursor=cursor, limit=limit)
    return DeliveryPage(items=[DeliveryOut.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/{webhook_id}/deliveries/{delivery_id}", operation_id="get_delivery")
async def get_delivery(
    webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID, delivery_id: uuid.UUID
) -> DeliveryOut:
    """One message of the log."""
    return DeliveryOut.model_validate(await webhooks.delivery(owner.organisation_id, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    operation_id="resend_delivery",
    responses=problems(409),
)
async def resend_delivery(
    webhooks: TheWebhooks, owner: OwnedOrganisation, webhook_id: uuid.UUID, delivery_id: uuid.UUID
) -> DeliveryOut:
    """Send a message again now, under the same id, whatever became of it."""
    return DeliveryOut.model_validate(await webhooks.resend(owner.organisation_id, webhook_id, delivery_id))


def _with_secret(found: WebhookWithSecret) -> WebhookWithSecretOut:
    shown = WebhookOut.model_validate(found.webhook)
    return WebhookWithSecretOut(**shown.model_dump(), secret=found.secret)
