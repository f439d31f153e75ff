"""SQL of the outbox: claim what is due, record how it ended. Every function works in its caller's transaction.

A claim is a time: `due_at` moves on by `claim_seconds`, so that what a deliverer that died has claimed is due again by
itself. Claims and results lock a webhook's row before its messages' rows. Results carry the number of their attempt;
that of an older attempt changes nothing, unless it says that the message was delivered.
"""

import uuid
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pavo.webhooks.domain import (
    DELAYS,
    GIVE_UP_AFTER,
    KEPT,
    REST,
    TEST_TYPE,
    Claimed,
    EventType,
    Outcome,
    Waiting,
    body,
    delay,
)

AT_ONCE_HEALTHY: Final = 4
"""Messages under way to one receiver, over all processes. A receiver that fails gets one, until it takes it."""
PRUNED_AT_ONCE: Final = 1_000

# FOR NO KEY UPDATE: nobody else claims of the same webhook meanwhile, which keeps the number under way exact; the next
# statement sees what was claimed before it.
_DUE: Final = text("""
SELECT w.id FROM webhooks w
WHERE w.enabled AND (w.failures = 0) = :healthy AND (w.rests_until IS NULL OR w.rests_until <= pavo_now())
  AND EXISTS (
    SELECT FROM webhook_deliveries d
    WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.due_at <= pavo_now()
  )
ORDER BY w.claimed_at NULLS FIRST LIMIT :slots
FOR NO KEY UPDATE SKIP LOCKED
""")
_CLAIM: Final = text("""
WITH due AS (
    SELECT t.id FROM unnest(:webhooks) AS w(id) CROSS JOIN LATERAL (
        SELECT d.id FROM webhook_deliveries d
        WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.due_at <= pavo_now()
        ORDER BY d.due_at, d.number
        LIMIT greatest(0, :at_once - (
            SELECT count(*) FROM webhook_deliveries b
            WHERE b.webhook_id = w.id AND b.state = 'pending' AND b.claimed AND b.due_at > pavo_now()
        ))
    ) t LIMIT :slots
), claimed AS (
    UPDATE webhook_deliveries d
    SET attempts = d.attempts + 1, claimed = true, attempted_at = pavo_now(),
        due_at = pavo_now() + CAST(:claim AS interval)
    FROM due WHERE d.id = due.id AND d.state = 'pending' RETURNING d.*
), marked AS (
    UPDATE webhooks w SET claimed_at = pavo_now() WHERE w.id = ANY (:webhooks)
)
SELECT c.id, c.webhook_id, c.attempts, c.type, c.created_at, c.number, c.data, w.url, (
    SELECT array_agg(s.secret ORDER BY s.created_at DESC) FROM webhook_secrets s
    WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > pavo_now())
) AS secrets
FROM claimed c JOIN webhooks w ON w.id = c.webhook_id
""").bindparams(bindparam("webhooks", type_=ARRAY(Uuid)))

_LOCK: Final = text("SELECT failures FROM webhooks WHERE id = :webhook_id FOR NO KEY UPDATE")
_DELIVERED: Final = text("""
UPDATE webhook_deliveries SET state = 'delivered', claimed = false, status = :status, seconds = :seconds, error = NULL
WHERE id = :id AND state = 'pending'
""")
_WELL: Final = text("""
UPDATE webhooks SET failures = 0, failing_since = NULL, rests_until = NULL, delivered_at = pavo_now()
WHERE id = :webhook_id
""")
_FAILED: Final = text("""
UPDATE webhook_deliveries
SET claimed = false, status = :status, seconds = :seconds, error = :error,
    due_at = pavo_now() + CAST(:delay AS interval),
    state = CASE WHEN created_at < pavo_now() - CAST(:patience AS interval) THEN 'given_up' ELSE state END
WHERE id = :id AND attempts = :attempt AND state = 'pending' RETURNING state
""")
_UNWELL: Final = text("""
UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, pavo_now()),
    rests_until = pavo_now() + CAST(:rest AS interval)
WHERE id = :webhook_id
RETURNING enabled AND (:gone OR failing_since < pavo_now() - CAST(:patience AS interval)) AS hopeless
""")
_DISABLE: Final = text("""
WITH disabled AS (
    UPDATE webhooks SET enabled = false, disabled_at = pavo_now(), disabled_reason = :reason WHERE id = :webhook_id
    RETURNING id, organisation_id, url
)
SELECT webhook_enqueue(d.organisation_id, :type, NULL, jsonb_build_object(
    'organisation_id', d.organisation_id, 'webhook_id', d.id, 'url', d.url, 'reason', CAST(:reason AS text)
)) FROM disabled d
""")
_PRUNE: Final = text("""
DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(
    SELECT d.ctid FROM webhook_deliveries d WHERE d.created_at < pavo_now() - CAST(:kept AS interval)
    ORDER BY d.created_at LIMIT :count
))
""")
_ORPHANS: Final = text("""
DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(
    SELECT d.ctid FROM webhook_deliveries d LEFT JOIN webhooks w ON w.id = d.webhook_id WHERE w.id IS NULL LIMIT :count
))
""")


async def claim(session: AsyncSession, *, healthy: bool, slots: int, seconds: float) -> list[Claimed]:
    """Take messages that are due, of receivers that took what was sent last, or of those that did not.

    Args:
        slots: messages at most.
        seconds: after which each is due again, if nothing is recorded of it.
    """
    found = (await session.scalars(_DUE, {"healthy": healthy, "slots": slots})).all()
    if not found:
        return []
    values: dict[str, Any] = {
        "webhooks": list(found),
        "slots": slots,
        "at_once": AT_ONCE_HEALTHY if healthy else 1,
        "claim": timedelta(seconds=seconds),
    }
    rows = (await session.execute(_CLAIM, values)).all()
    return [
        Claimed(
            row.id,
            row.webhook_id,
            row.attempts,
            row.url,
            row.secrets or (),
            body(row.type, row.created_at, row.number, row.data),
        )
        for row in rows
    ]


async def record(session: AsyncSession, message: Claimed, outcome: Outcome) -> str | None:
    """Record how an attempt ended; the reason, where its receiver is disabled by that."""
    values = {"id": message.id, "webhook_id": message.webhook_id}
    failures = (await session.scalars(_LOCK, values)).one_or_none()
    if failures is None:
        return None  # the webhook was removed meanwhile
    values |= {"status": outcome.status, "seconds": outcome.seconds}
    if outcome.error is None:
        await session.execute(_DELIVERED, values)
        await session.execute(_WELL, values)
        return None
    wait = delay(message.attempt, DELAYS, outcome.retry_after)
    values |= {"error": outcome.error, "attempt": message.attempt, "patience": GIVE_UP_AFTER}
    if (await session.execute(_FAILED, {**values, "delay": timedelta(seconds=wait)})).one_or_none() is None:
        return None  # a newer attempt has it
    rest = timedelta(seconds=delay(failures + 1, REST, outcome.retry_after))
    hopeless = (await session.scalars(_UNWELL, {**values, "rest": rest, "gone": outcome.gone})).one()
    if not hopeless:
        return None
    days = GIVE_UP_AFTER.days
    reason = "It answered 410 Gone." if outcome.gone else f"It has taken nothing for {days} days: {outcome.error}"
    await session.execute(_DISABLE, {**values, "reason": reason, "type": EventType.DISABLED})
    return reason


async def prune(session: AsyncSession) -> None:
    """Remove what is too old for the log, and what is left of removed webhooks, a bounded number at once."""
    await session.execute(_PRUNE, {"kept": KEPT, "count": PRUNED_AT_ONCE})
    await session.execute(_ORPHANS, {"count": PRUNED_AT_ONCE})


_WAITING: Final = text("""
SELECT count(*) AS messages, coalesce(extract(epoch FROM pavo_now() - min(d.created_at)), 0) AS age
FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.state = 'pending' AND w.enabled
""")


async def waiting(session: AsyncSession) -> Waiting:
    """What is not delivered yet to webhooks that are enabled."""
    row = (await session.execute(_WAITING)).one()
    return Waiting(row.messages, float(row.age))


_TEST: Final = text("""
INSERT INTO webhook_deliveries (webhook_id, type, data)
VALUES (:webhook_id, :type, jsonb_build_object('webhook_id', CAST(:webhook_id AS uuid))) RETURNING id
""")


async def enqueue_test(session: AsyncSession, webhook_id: uuid.UUID) -> uuid.UUID:
    """A test message for this webhook alone; its id."""
    return (await session.scalars(_TEST, {"webhook_id": webhook_id, "type": TEST_TYPE})).one()
