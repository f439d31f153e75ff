"""What single runs took, and what bounds them, for whoever shows these."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.usage.domain import RunBudget, Spending, Sums

_USED: Final = text("""
SELECT u.task_id, count(*), count(*) FILTER (WHERE u.state = 'lost'), sum(u.tokens_in), sum(u.tokens_out),
    sum(u.tokens_cached), coalesce(sum(u.cost), 0), count(*) FILTER (WHERE u.cost IS NULL), sum(u.seconds)
FROM usage_calls u WHERE u.task_id = ANY (:ids) GROUP BY u.task_id
""")
_BUDGETS: Final = text("""
SELECT b.task_id, b.period, b.max_cost, b.max_tokens, CASE WHEN o.is_over THEN 0 ELSE b.used_cost END AS used_cost,
    CASE WHEN o.is_over THEN 0 ELSE b.used_tokens END AS used_tokens
FROM budgets b CROSS JOIN LATERAL (SELECT budget_period_start(b.period, pavo_now()) > b.began AS is_over) o
WHERE b.task_id = ANY (:ids) ORDER BY b.period
""")


async def spending(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Spending]:
    """Of each of these; of those that neither spent nor have a budget nothing is there."""
    found = dict[uuid.UUID, Spending]()
    for run_id, calls, lost, *tokens, cost, unpriced, seconds in await session.execute(_USED, {"ids": list(run_ids)}):
        tokens_in, tokens_out, cached = (int(each) for each in tokens)
        sums = Sums(calls, lost, tokens_in, tokens_out, cached, int(cost), unpriced, float(seconds))
        found[run_id] = Spending(sums)
    for run_id, *limits in await session.execute(_BUDGETS, {"ids": list(run_ids)}):
        known = found.get(run_id, Spending())
        found[run_id] = replace(known, budgets=(*known.budgets, RunBudget(*limits)))
    return found
