"""SQL of webhooks and their log, but for the outbox. Every function works in its caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor
from pavo.webhooks.domain import Delivery, Webhook
from pavo.webhooks.models import SECRETS
from pavo.webhooks.models import WebhookDeliveryRow as D
from pavo.webhooks.models import WebhookRow as W
from pavo.webhooks.models import WebhookSecretRow as S

_WAITING = select(func.count()).where(D.webhook_id == W.id, D.state == "pending").correlate(W).scalar_subquery()
_SIGNS = or_(S.expires_at.is_(None), S.expires_at > func.pavo_now())
_SECRETS = select(func.count()).where(S.webhook_id == W.id, _SIGNS).correlate(W).scalar_subquery()
_WEBHOOK = select(
    W.id,
    W.organisation_id,
    W.url,
    W.description,
    W.events,
    W.enabled,
    W.created_at,
    W.failures,
    W.failing_since,
    W.delivered_at,
    W.disabled_at,
    W.disabled_reason,
    _WAITING,
    _SECRETS,
)


def _webhook(row: Sequence[Any]) -> Webhook:
    values: Any = [*row[:4], tuple(row[4]), *row[5:]]
    return Webhook(*values)


async def add(
    session: AsyncSession, organisation_id: uuid.UUID, values: Mapping[str, Any], secret: str
) -> uuid.UUID | None:
    """A new webhook and its secret; None if the organisation has one with this address."""
    statement = (
        insert(W)
        .values(id=new_id(), organisation_id=organisation_id, **values)
        .on_conflict_do_nothing(index_elements=["organisation_id", "url"])
        .returning(W.id)
    )
    webhook_id = (await session.scalars(statement)).one_or_none()
    if webhook_id is not None:
        await SECRETS.add(session, webhook_id, secret)
    return webhook_id


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many webhooks does the organisation have?"""
    return (await session.scalars(select(func.count()).where(W.organisation_id == organisation_id))).one()


async def all_of(session: AsyncSession, organisation_id: uuid.UUID) -> list[Webhook]:
    """The organisation's webhooks, oldest first."""
    statement = _WEBHOOK.where(W.organisation_id == organisation_id).order_by(W.created_at, W.id)
    return [_webhook(row) for row in (await session.execute(statement)).all()]


async def one(session: AsyncSession, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook | None:
    """The organisation's webhook with this id."""
    statement = _WEBHOOK.where(W.organisation_id == organisation_id, W.id == webhook_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _webhook(row)


async def lock(session: AsyncSession, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> bool:
    """Let only this transaction change the webhook; False if the organisation has none with this id."""
    mine = (W.organisation_id == organisation_id, W.id == webhook_id)
    statement = select(W.id).where(*mine).with_for_update(key_share=True)
    return (await session.scalars(statement)).one_or_none() is not None


async def change(session: AsyncSession, webhook_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Change the webhook's columns."""
    await session.execute(update(W).where(W.id == webhook_id).values(**values))


async def has_address(session: AsyncSession, organisation_id: uuid.UUID, url: str, but: uuid.UUID) -> bool:
    """Whether another webhook of the organisation has this address."""
    statement = select(W.id).where(W.organisation_id == organisation_id, W.url == url, W.id != but)
    return (await session.scalars(statement)).first() is not None


async def hurry(session: AsyncSession, webhook_id: uuid.UUID) -> None:
    """What waits for its next attempt is due now."""
    waits = (D.webhook_id == webhook_id, D.state == "pending", D.claimed.is_(False))
    await session.execute(update(D).where(*waits).values(due_at=func.pavo_now()))


async def remove(session: AsyncSession, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> bool:
    """Remove the webhook and its secrets; what waits for it is pruned. False if there is none."""
    statement = delete(W).where(W.organisation_id == organisation_id, W.id == webhook_id).returning(W.id)
    return (await session.scalars(statement)).one_or_none() is not None


_DELIVERY = select(
    D.id,
    D.webhook_id,
    D.type,
    D.data,
    D.created_at,
    D.state,
    D.attempts,
    D.attempted_at,
    D.due_at,
    D.seconds,
    D.status,
    D.error,
)


def _delivery(row: Any) -> Delivery:
    values: Any = [*row[:8], row.due_at if row.state == "pending" else None, *row[9:]]
    return Delivery(*values)


async def deliveries(
    session: AsyncSession, webhook_id: uuid.UUID, state: str | None, before: Cursor | None, limit: int
) -> list[Delivery]:
    """The webhook's log, newest first; in one state only, if one is named."""
    statement = _DELIVERY.where(D.webhook_id == webhook_id).order_by(D.created_at.desc(), D.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(D.state == state)
    if before is not None:
        statement = statement.where(tuple_(D.created_at, D.id) < (before.created_at, before.id))
    return [_delivery(row) for row in (await session.execute(statement)).all()]


async def delivery(session: AsyncSession, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Delivery | None:
    """One message of the webhook."""
    row = (await session.execute(_DELIVERY.where(D.webhook_id == webhook_id, D.id == delivery_id))).one_or_none()
    return None if row is None else _delivery(row)


async def send_again(session: AsyncSession, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> bool:
    """The message is due now, whatever became of it; False if it is under way."""
    settled = (D.webhook_id == webhook_id, D.id == delivery_id, D.claimed.is_(False))
    statement = update(D).where(*settled).values(state="pending", due_at=func.pavo_now()).returning(D.id)
    return (await session.scalars(statement)).one_or_none() is not None
