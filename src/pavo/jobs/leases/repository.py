"""Whether a lease may count as run out: all SQL of it.

A lease is renewed through a gateway, in PostgreSQL. While either is away no agent can renew anything, so silence says
nothing of agents then, nor until each of them has had time to come back
([decision 86](../../../../docs/decisions/0086-silence-counts-only-where-somebody-listens.md)).
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.domain import RENEW_SECONDS

NOTE_SECONDS: Final = 4.0
"""Between two notes of a gateway that it is there."""
GAP_SECONDS: Final = 12
"""Without a note for so long: agents had nobody who hears them. A lease outlasts a shorter gap: it is 60 s long, the
last renewal was up to 20 s before, the next one comes up to 20 s after."""
COME_BACK_SECONDS: Final = 2 * RENEW_SECONDS
"""After a gap agents have so long for a round of renewals and for connecting again."""

_NOTE: Final = text(f"""
INSERT INTO gateway_presence AS p (id, since, seen_at) VALUES (1, pavo_now(), pavo_now())
ON CONFLICT (id) DO UPDATE SET seen_at = greatest(p.seen_at, excluded.seen_at),
    since = CASE WHEN p.seen_at < excluded.seen_at - interval '{GAP_SECONDS} seconds' THEN excluded.since
        ELSE p.since END
""")

LISTENED_SINCE: Final = f"""(
    SELECT p.since FROM gateway_presence p WHERE p.seen_at >= pavo_now() - interval '{GAP_SECONDS} seconds'
)"""
"""SQL: since when agents are heard without a gap; NULL: they are not."""
EXPIRED: Final = f"""(
    coalesce(j.lease_until < pavo_now(), true)
    AND coalesce({LISTENED_SINCE} < pavo_now() - interval '{COME_BACK_SECONDS} seconds', false)
)"""
"""SQL: whether the lease of the job `j` ran out though its agent could have renewed it."""


def silent(seconds: str) -> str:
    """SQL: whether nothing came of the job `j` for so long, while it could have.

    Args:
        seconds: SQL of a number.
    """
    return f"coalesce(greatest(j.heard_at, {LISTENED_SINCE}) < pavo_now() - make_interval(secs => {seconds})" + (
        f" AND {LISTENED_SINCE} IS NOT NULL, false)"
    )


async def note_gateway(session: AsyncSession) -> None:
    """A gateway is there, and reaches PostgreSQL."""
    await session.execute(_NOTE)
