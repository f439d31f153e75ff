"""Budgets bound what a task delegates

A call counts against the budgets of its task, and of the tasks that it works for: those that delegated it, up to the
one that somebody created. Reservations and counted calls name these, so that what a deleted task took still counts for
them. Reserving and settling stay one statement each, with the same arguments, so the version before goes on working
meanwhile and is bounded too. A budget that is there already does not count what was delegated before.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_TABLES: Final = ("usage_calls", "budget_reservations")
_LINE: Final = """
CREATE FUNCTION budget_line(p_task uuid) RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
-- A task and those that it works for, one after the other: a deleted one's row stays, and knows its place.
DECLARE
    v_line uuid[] := ARRAY[p_task];
    v_above uuid;
BEGIN
    LOOP
        SELECT t.parent_id INTO v_above FROM tasks t WHERE t.id = v_line[cardinality(v_line)];
        EXIT WHEN v_above IS NULL OR v_above = ANY (v_line);
        v_line := v_line || v_above;
    END LOOP;
    RETURN v_line;
END $$
"""
_LOCK: Final = """
CREATE OR REPLACE FUNCTION budget_lock(p_organisation uuid, p_task uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
-- Locks the budgets that count, in the order of their ids, and begins the periods that are due. Answers the time:
-- whoever was first may have begun a period by a clock that was read later.
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('pavo budgets ' || p_organisation, 0));
    SELECT greatest(pavo_now(), max(l.began)) INTO v_now FROM (
        SELECT b.began FROM budgets b
        WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR {bounds})
        ORDER BY b.id FOR UPDATE
    ) l;
    UPDATE budgets b SET began = budget_period_start(b.period, v_now), used_cost = 0, used_tokens = 0
    WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR {bounds})
        AND budget_period_start(b.period, v_now) > b.began;
    RETURN v_now;
END $$
"""
_LACK: Final = """
CREATE OR REPLACE FUNCTION budget_lack(p_organisation uuid, p_task uuid, p_call uuid, p_tokens bigint, p_cost bigint)
RETURNS TABLE (budget_id uuid, lack text) LANGUAGE sql STABLE AS $$
    -- The first budget that does not allow a call beside those that have reserved, and why; no row: all do. One that is
    -- overrun allows nothing more, also where nothing is counted.
    SELECT f.id, f.lack FROM (
        SELECT b.id, CASE
            WHEN b.used_tokens + r.tokens + p_tokens > b.max_tokens THEN 'exhausted'
            WHEN b.max_cost IS NULL THEN NULL
            WHEN p_cost IS NULL AND NOT b.unpriced_allowed THEN 'unpriced'
            WHEN b.used_cost + r.cost + coalesce(p_cost, 0) > b.max_cost THEN 'exhausted'
        END AS lack
        FROM budgets b CROSS JOIN LATERAL (
            SELECT coalesce(sum(r.cost), 0::numeric) AS cost, coalesce(sum(r.tokens), 0::numeric) AS tokens
            FROM budget_reservations r
            WHERE r.organisation_id = b.organisation_id AND (b.task_id IS NULL OR {counts})
                AND r.at >= b.began AND r.call_id <> p_call
        ) r
        WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR {bounds})
    ) f WHERE f.lack IS NOT NULL ORDER BY f.id LIMIT 1
$$
"""
_NOTE: Final = """
CREATE OR REPLACE FUNCTION budget_note(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid, p_model text, p_user uuid, p_agent text,
    p_state text, p_in bigint, p_out bigint, p_cached bigint, p_cost bigint, p_seconds double precision,
    p_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Appends what a call took and charges the locked budgets whose period had begun at that time; false: it is there
-- already.
BEGIN
    INSERT INTO usage_calls (call_id, epoch, state, organisation_id, task_id, user_id, agent, model,
        tokens_in, tokens_out, tokens_cached, cost, seconds{column})
    VALUES (p_call, p_epoch, p_state, p_organisation, p_task, p_user, p_agent, p_model,
        p_in, p_out, p_cached, p_cost, p_seconds{value})
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE budgets b SET
        used_cost = least(b.used_cost + coalesce(p_cost, 0)::numeric, 9223372036854775807),
        used_tokens = least(b.used_tokens + p_in::numeric + p_out, 9223372036854775807)
    WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR {bounds}) AND b.began <= p_at;
    RETURN true;
END $$
"""
_RESERVE: Final = """
CREATE OR REPLACE FUNCTION budget_reserve(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid, p_model text, p_user uuid, p_agent text,
    p_tokens bigint, p_cost bigint, p_under_way uuid[]
) RETURNS TABLE (outcome text, budget_id uuid) LANGUAGE plpgsql AS $$
-- reserved; taken: a newer attempt has; else why a budget does not allow it, and which.
#variable_conflict use_column
DECLARE
    v_now timestamptz := budget_lock(p_organisation, p_task);
    v_lack record;
BEGIN
    PERFORM budget_count_cut(p_organisation, p_task, p_epoch, 'infinity', p_under_way);
    SELECT l.lack, l.budget_id INTO v_lack FROM budget_lack(p_organisation, p_task, p_call, p_tokens, p_cost) l;
    IF FOUND THEN
        RETURN QUERY SELECT v_lack.lack::text, v_lack.budget_id::uuid;
        RETURN;
    END IF;
    INSERT INTO budget_reservations AS r (call_id, epoch, organisation_id, task_id, user_id, agent, model,
        tokens, cost, at{column})
    VALUES (p_call, p_epoch, p_organisation, p_task, p_user, p_agent, p_model, p_tokens, p_cost, v_now{value})
    ON CONFLICT (call_id) DO UPDATE SET tokens = excluded.tokens, cost = excluded.cost, at = excluded.at
        WHERE r.epoch = excluded.epoch;
    RETURN QUERY SELECT CASE WHEN FOUND THEN 'reserved' ELSE 'taken' END, NULL::uuid;
END $$
"""
_FUNCTIONS: Final = (_LOCK, _LACK, _NOTE, _RESERVE)
_OWN: Final = {"bounds": "b.task_id = p_task", "counts": "r.task_id = b.task_id", "column": "", "value": ""}
_OF_THE_LINE: Final = {
    "bounds": "b.task_id = ANY (CAST((SELECT budget_line(p_task)) AS uuid[]))",
    "counts": "r.task_id = b.task_id OR b.task_id = ANY (r.ancestors)",
    "column": ", ancestors",
    "value": ", (budget_line(p_task))[2:]",
}


def _define(parts: dict[str, str]) -> None:
    for function in _FUNCTIONS:
        for name, part in parts.items():
            function = function.replace("{" + name + "}", part)
        op.execute(function)


def upgrade() -> None:
    op.execute(_LINE)
    for table in _TABLES:
        ids = postgresql.ARRAY(sa.Uuid())
        op.add_column(table, sa.Column("ancestors", ids, server_default=sa.text("'{}'"), nullable=False))
        op.execute(
            f"UPDATE {table} c SET ancestors = (budget_line(c.task_id))[2:] FROM tasks t"
            " WHERE t.id = c.task_id AND t.parent_id IS NOT NULL"
        )
    op.create_index(
        *("ix_usage_calls_ancestors", "usage_calls", ["ancestors"]),
        postgresql_using="gin",
        postgresql_where=sa.text("ancestors <> '{}'"),
    )
    _define(_OF_THE_LINE)


def downgrade() -> None:
    _define(_OWN)
    op.drop_index("ix_usage_calls_ancestors", "usage_calls")
    for table in _TABLES:
        op.drop_column(table, "ancestors")
    op.execute("DROP FUNCTION budget_line")
