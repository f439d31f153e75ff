"""SQL of usage and of budgets as people see them. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.usage.domain import MOST_KEPT, By, Sums
from pavo.usage.models import BudgetRow

MAX_ITEMS: Final = 1_000

_KEYS: Final[dict[By, tuple[str, str, str]]] = {
    "call": ("u.call_id::text", "min(u.model)", ""),
    "task": (
        "u.task_id::text",
        "min(coalesce(t.title, j.title))",
        "LEFT JOIN tasks t ON t.id = u.task_id AND t.deleted_at IS NULL "
        "LEFT JOIN jobs j ON j.id = u.task_id AND j.deleted_at IS NULL",
    ),
    "agent": ("u.agent", "NULL", ""),
    "user": ("u.user_id::text", "min(p.email)", "LEFT JOIN users p ON p.id = u.user_id"),
    "model": ("u.model", "NULL", ""),
    "organisation": ("u.organisation_id::text", "min(o.name)", "JOIN organisations o ON o.id = u.organisation_id"),
    "day": ("to_char(u.at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", "NULL", ""),
}
"""By what is summed: the key, what people call it, and where that stands."""
_CALLS: Final = """
SELECT u.call_id, u.organisation_id, u.task_id, u.user_id, u.agent, u.model, u.at, u.state, u.tokens_in, u.tokens_out,
    u.tokens_cached, u.cost, u.seconds, 0::bigint AS steps, 0::bigint AS tools, 0::double precision AS working
FROM usage_calls u
"""
_NO_CALL: Final = "NULL::text, 0::bigint, 0::bigint, 0::bigint, NULL::bigint, 0::double precision"
# What an attempt takes is known at its end; of those that are under way it is what they have taken so far.
_WORK: Final = f"""
UNION ALL
SELECT NULL, a.organisation_id, a.task_id, a.user_id, a.agent, NULL, a.at, {_NO_CALL}, a.steps, a.tools, a.seconds
FROM usage_attempts a
UNION ALL
SELECT NULL, t.organisation_id, t.id, t.created_by, t.agent_type, NULL, pavo_now(), {_NO_CALL},
    greatest(0, e.step - e.opened_step)::bigint, 0::bigint,
    greatest(0, extract(epoch FROM pavo_now() - e.opened_at))::double precision
FROM tasks t JOIN executions e ON e.task_id = t.id
WHERE t.stage = 'EXECUTING' AND t.deleted_at IS NULL AND e.opened_at IS NOT NULL
UNION ALL
SELECT NULL, t.organisation_id, t.id, t.created_by, t.agent_type, NULL, c.started_at, {_NO_CALL}, 0::bigint, 1::bigint,
    0::double precision
FROM tasks t JOIN tool_calls c ON c.subject_id = t.id
WHERE t.deleted_at IS NULL AND c.state NOT IN ('asked', 'denied', 'same')
"""
_CALLS_ALONE: Final = ("call", "model")
"""By these nothing but calls of models is told apart."""
_SUMS: Final = """
    count(*) FILTER (WHERE u.state IS NOT NULL) AS calls, count(*) FILTER (WHERE u.state = 'lost') AS lost,
    coalesce(sum(u.tokens_in), 0) AS tokens_in, coalesce(sum(u.tokens_out), 0) AS tokens_out,
    coalesce(sum(u.tokens_cached), 0) AS tokens_cached, coalesce(sum(u.cost), 0) AS cost,
    count(*) FILTER (WHERE u.state IS NOT NULL AND u.cost IS NULL) AS unpriced, coalesce(sum(u.seconds), 0) AS seconds,
    coalesce(sum(u.steps), 0) AS steps, coalesce(sum(u.tools), 0) AS tools, coalesce(sum(u.working), 0) AS working
"""
_WHERE: Final = """
WHERE u.organisation_id = ANY(:organisation_ids)
    AND (CAST(:since AS timestamptz) IS NULL OR u.at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR u.at < :until)
    AND (CAST(:task_id AS uuid) IS NULL OR u.task_id = :task_id)
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which calls are summed."""

    organisation_ids: Sequence[uuid.UUID]
    task_id: uuid.UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """The sums of one key."""

    key: str | None
    """None: of tasks or users that are gone."""
    label: str | None
    sums: Sums


async def by(session: AsyncSession, chosen: Chosen, kind: By) -> tuple[list[Item], bool]:
    """Sums by key, days in their order, else what costs most first; and whether there are more."""
    key, label, joined = _KEYS[kind]
    order = "key" if kind == "day" else "cost DESC, tokens_in DESC, key"
    alone = kind in _CALLS_ALONE
    rows_of = _CALLS if alone else _CALLS + _WORK
    statement = text(
        f"SELECT {key} AS key, {label} AS label, {_SUMS} FROM ({rows_of}) u {joined} {_WHERE} "
        f"GROUP BY 1 ORDER BY {order} LIMIT :count"
    )
    rows = (await session.execute(statement, {**_values(chosen), "count": MAX_ITEMS + 1})).all()
    items = [Item(row[0], row[1], _sums(row[2:], work=not alone)) for row in rows[:MAX_ITEMS]]
    return items, len(rows) > MAX_ITEMS


async def total(session: AsyncSession, chosen: Chosen, *, work: bool = True) -> Sums:
    """Of all of them.

    Args:
        work: what attempts took too, and not calls of models alone.
    """
    rows_of = _CALLS + _WORK if work else _CALLS
    row = (await session.execute(text(f"SELECT {_SUMS} FROM ({rows_of}) u {_WHERE}"), _values(chosen))).one()
    return _sums(row, work=work)


def _values(chosen: Chosen) -> dict[str, Any]:
    return {
        "organisation_ids": list(chosen.organisation_ids),
        "task_id": chosen.task_id,
        "since": chosen.since,
        "until": chosen.until,
    }


def _sums(row: Any, *, work: bool) -> Sums:
    calls, lost, tokens_in, tokens_out, tokens_cached, cost, unpriced, seconds, steps, tools, working = row
    tokens = (int(tokens_in), int(tokens_out), int(tokens_cached))
    found = Sums(calls, lost, *tokens, int(cost), unpriced, float(seconds))
    return (
        replace(found, checkpoints=int(steps), tool_calls=int(tools), working_seconds=float(working)) if work else found
    )


_RESERVED: Final = text("""
SELECT coalesce(sum(r.cost), 0), coalesce(sum(r.tokens), 0) FROM budget_reservations r
WHERE r.organisation_id = :organisation_id AND r.at >= :began
    AND (CAST(:task_id AS uuid) IS NULL OR r.task_id = :task_id OR :task_id = ANY (r.ancestors))
""")
_USED_BY_ALL: Final = text("""
SELECT coalesce(sum(u.cost), 0), coalesce(sum(u.tokens_in + u.tokens_out), 0) FROM usage_calls u
WHERE u.organisation_id = :organisation_id AND u.at >= :began
""")
_USED_BY_ONE: Final = text("""
SELECT coalesce(sum(f.cost), 0), coalesce(sum(f.tokens_in + f.tokens_out), 0) FROM (
    SELECT u.cost, u.tokens_in, u.tokens_out FROM usage_calls u
    WHERE u.organisation_id = :organisation_id AND u.task_id = :task_id AND u.at >= :began
    UNION ALL
    SELECT u.cost, u.tokens_in, u.tokens_out FROM usage_calls u
    WHERE u.organisation_id = :organisation_id AND u.ancestors <> '{}' AND u.ancestors @> ARRAY[CAST(:task_id AS uuid)]
        AND u.at >= :began
) f
""")
"""By the task, and by what it delegated: each is looked up by an index."""
_ORGANISATION_OF: Final = text("""
SELECT organisation_id FROM tasks WHERE id = :task_id AND deleted_at IS NULL
UNION ALL
SELECT organisation_id FROM jobs WHERE id = :task_id AND deleted_at IS NULL
""")


async def reserved(session: AsyncSession, budget: BudgetRow) -> tuple[int, int]:
    """What calls under way have reserved of it: cost and tokens."""
    return await _two(session, _RESERVED, budget)


async def used_before(session: AsyncSession, budget: BudgetRow) -> tuple[int, int]:
    """What was used since its period began, counted from the calls: cost and tokens."""
    return await _two(session, _USED_BY_ALL if budget.task_id is None else _USED_BY_ONE, budget)


async def _two(session: AsyncSession, statement: Any, budget: BudgetRow) -> tuple[int, int]:
    place = {"organisation_id": budget.organisation_id, "task_id": budget.task_id, "began": budget.began}
    cost, tokens = tuple[Any, ...]((await session.execute(statement, place)).one())
    return min(int(cost), MOST_KEPT), min(int(tokens), MOST_KEPT)


async def organisation_of(session: AsyncSession, task_id: uuid.UUID) -> uuid.UUID | None:
    """Whose task or coding job this is; None: unknown, or deleted."""
    return (await session.scalars(_ORGANISATION_OF, {"task_id": task_id})).one_or_none()
