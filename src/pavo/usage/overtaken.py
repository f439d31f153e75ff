"""Questions about budgets that need no answer any more: the budget was set or removed meanwhile, or its period is over.

Whoever sets a budget has them answered at once. What was asked in that very moment, and what an owner's answer to one
task's question means for the others, is found by the second line.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.gates import repository as gates
from pavo.gates.domain import Gate
from pavo.kit.sql import Database
from pavo.usage.asking import AGAIN

BY_BUDGET: Final = "policy:budget"
"""Who answered, where the change of a budget did."""
SET: Final = "{by} has set the budget."
CHANGED: Final = "The budget was changed, or its period is over."
MARGIN: Final = timedelta(minutes=1)
"""An attempt that asks has looked at the budget no longer than this before."""
_AT_ONCE: Final = 200

_OVERTAKEN: Final = text("""
SELECT g.id FROM gates g LEFT JOIN budgets b
    ON b.organisation_id = g.organisation_id AND right(b.id::text, 12) = split_part(g.key, '/', 3)
WHERE g.kind = 'budget' AND g.state = 'open'
    AND (CAST(:organisation AS uuid) IS NULL OR g.organisation_id = :organisation)
    AND (b.id IS NULL OR b.set_at > g.opened_at - CAST(:margin AS interval)
        OR budget_period_start(b.period, pavo_now()) > g.opened_at)
ORDER BY g.opened_at, g.id LIMIT :count
""")


async def overtaken(
    session: AsyncSession, organisation_id: uuid.UUID | None = None, margin: timedelta = MARGIN
) -> Sequence[uuid.UUID]:
    """The open ones, the oldest first; of one organisation, or of all."""
    values = {"organisation": organisation_id, "margin": margin, "count": _AT_ONCE}
    return (await session.scalars(_OVERTAKEN, values)).all()


async def propose(database: Database, gate_id: uuid.UUID, note: str) -> tuple[Gate, uuid.UUID] | None:
    """Keep the answer that has its task look again, for the gate's owner to take; None: the gate is gone."""
    async with database.transaction() as session:
        gate = await gates.get(session, gate_id)
        if gate is None:
            return None
        return gate, await gates.propose(session, gate_id, AGAIN, note, None, BY_BUDGET)
