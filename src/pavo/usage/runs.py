"""What single runs took, and what bounds them, for whoever shows these."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.usage.domain import RunBudget, Spending, Sums

_SUMS: Final = """
    count(*), count(*) FILTER (WHERE u.state = 'lost'), coalesce(sum(u.tokens_in), 0), coalesce(sum(u.tokens_out), 0),
    coalesce(sum(u.tokens_cached), 0), coalesce(sum(u.cost), 0), count(*) FILTER (WHERE u.cost IS NULL),
    coalesce(sum(u.seconds), 0)
FROM usage_calls u
"""
_USED: Final = text(f"SELECT u.task_id, {_SUMS} WHERE u.task_id = ANY (:ids) GROUP BY u.task_id")
_CALLS: Final = text(f"SELECT {_SUMS} WHERE u.call_id = ANY (:ids)")
_BUDGETS: Final = text("""
SELECT b.task_id, b.period, b.max_cost, b.max_tokens, CASE WHEN o.is_over THEN 0 ELSE b.used_cost END AS used_cost,
    CASE WHEN o.is_over THEN 0 ELSE b.used_tokens END AS used_tokens
FROM budgets b CROSS JOIN LATERAL (SELECT budget_period_start(b.period, pavo_now()) > b.began AS is_over) o
WHERE b.task_id = ANY (:ids) ORDER BY b.period
""")


async def spending(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Spending]:
    """Of each of these; of those that neither spent nor have a budget nothing is there."""
    found = dict[uuid.UUID, Spending]()
    for run_id, *row in await session.execute(_USED, {"ids": list(run_ids)}):
        found[run_id] = Spending(_sums(row))
    for run_id, *limits in await session.execute(_BUDGETS, {"ids": list(run_ids)}):
        known = found.get(run_id, Spending())
        found[run_id] = replace(known, budgets=(*known.budgets, RunBudget(*limits)))
    return found


async def of_calls(session: AsyncSession, call_ids: Collection[uuid.UUID]) -> Sums:
    """Of these calls together; tries of them that were lost have ids of their own."""
    return _sums((await session.execute(_CALLS, {"ids": list(call_ids)})).one())


def _sums(row: Sequence[Any]) -> Sums:
    calls, lost, tokens_in, tokens_out, cached, cost, unpriced, seconds = row
    tokens = (int(tokens_in), int(tokens_out), int(cached))
    return Sums(calls, lost, *tokens, int(cost), unpriced, float(seconds))
