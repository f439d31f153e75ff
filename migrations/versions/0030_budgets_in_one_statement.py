"""Reservations and settlements, each in one statement

What a call of a model costs its budgets was nine statements. The functions below do the same under the same locks, in
one round trip each; `usage/budgets` calls them. No table changes, so the version before goes on working meanwhile.
Each statement of these functions sees what was committed before it began: what is reserved is summed up once the
budgets are locked.
"""

from typing import Final

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_PERIOD_START: Final = """
CREATE FUNCTION budget_period_start(p_period text, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_period
        WHEN 'day' THEN date_trunc('day', p_at, 'UTC')
        WHEN 'month' THEN date_trunc('month', p_at, 'UTC')
        ELSE to_timestamp(0)
    END
$$
"""
_LOCK: Final = """
CREATE FUNCTION budget_lock(p_organisation uuid, p_task uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
-- Locks the budgets that count, in the order of their ids, and begins the periods that are due. Answers the time:
-- whoever was first may have begun a period by a clock that was read later.
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('pavo budgets ' || p_organisation, 0));
    SELECT greatest(pavo_now(), max(l.began)) INTO v_now FROM (
        SELECT b.began FROM budgets b
        WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR b.task_id = p_task)
        ORDER BY b.id FOR UPDATE
    ) l;
    UPDATE budgets b SET began = budget_period_start(b.period, v_now), used_cost = 0, used_tokens = 0
    WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR b.task_id = p_task)
        AND budget_period_start(b.period, v_now) > b.began;
    RETURN v_now;
END $$
"""
_LACK: Final = """
CREATE FUNCTION budget_lack(p_organisation uuid, p_task uuid, p_call uuid, p_tokens bigint, p_cost bigint)
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
            WHERE r.organisation_id = b.organisation_id AND (b.task_id IS NULL OR r.task_id = b.task_id)
                AND r.at >= b.began AND r.call_id <> p_call
        ) r
        WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR b.task_id = p_task)
    ) f WHERE f.lack IS NOT NULL ORDER BY f.id LIMIT 1
$$
"""
_NOTE: Final = """
CREATE FUNCTION budget_note(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid, p_model text, p_user uuid, p_agent text,
    p_state text, p_in bigint, p_out bigint, p_cached bigint, p_cost bigint, p_seconds double precision,
    p_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Appends what a call took and charges the locked budgets whose period had begun at that time; false: it is there
-- already.
BEGIN
    INSERT INTO usage_calls (call_id, epoch, state, organisation_id, task_id, user_id, agent, model,
        tokens_in, tokens_out, tokens_cached, cost, seconds)
    VALUES (p_call, p_epoch, p_state, p_organisation, p_task, p_user, p_agent, p_model,
        p_in, p_out, p_cached, p_cost, p_seconds)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE budgets b SET
        used_cost = least(b.used_cost + coalesce(p_cost, 0)::numeric, 9223372036854775807),
        used_tokens = least(b.used_tokens + p_in::numeric + p_out, 9223372036854775807)
    WHERE b.organisation_id = p_organisation AND (b.task_id IS NULL OR b.task_id = p_task) AND b.began <= p_at;
    RETURN true;
END $$
"""
_COUNT_CUT: Final = """
CREATE FUNCTION budget_count_cut(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_before timestamptz, p_under_way uuid[]
) RETURNS integer LANGUAGE plpgsql AS $$
-- Counts calls of a task by their estimates that attempts before this epoch reserved for before this time: they were
-- cut, and perhaps paid for. The budgets are locked.
DECLARE
    v_cut budget_reservations%ROWTYPE;
    v_count integer := 0;
BEGIN
    FOR v_cut IN
        DELETE FROM budget_reservations r
        WHERE r.task_id = p_task AND r.epoch < p_epoch AND r.at < p_before AND r.call_id <> ALL (p_under_way)
        RETURNING r.*
    LOOP
        PERFORM budget_note(p_organisation, p_task, v_cut.epoch, v_cut.call_id, v_cut.model, v_cut.user_id, v_cut.agent,
            'lost', v_cut.tokens, 0, 0, v_cut.cost, 0, v_cut.at);
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END $$
"""
_RESERVE: Final = """
CREATE FUNCTION budget_reserve(
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
        tokens, cost, at)
    VALUES (p_call, p_epoch, p_organisation, p_task, p_user, p_agent, p_model, p_tokens, p_cost, v_now)
    ON CONFLICT (call_id) DO UPDATE SET tokens = excluded.tokens, cost = excluded.cost, at = excluded.at
        WHERE r.epoch = excluded.epoch;
    RETURN QUERY SELECT CASE WHEN FOUND THEN 'reserved' ELSE 'taken' END, NULL::uuid;
END $$
"""
_SETTLE: Final = """
CREATE FUNCTION budget_settle(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid, p_model text, p_user uuid, p_agent text,
    p_in bigint, p_out bigint, p_cached bigint, p_cost bigint, p_seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Counts what a call took in place of what was reserved; false: it is counted already, and nothing was changed.
DECLARE
    v_now timestamptz := budget_lock(p_organisation, p_task);
BEGIN
    DELETE FROM budget_reservations WHERE call_id = p_call AND epoch = p_epoch;
    RETURN budget_note(p_organisation, p_task, p_epoch, p_call, p_model, p_user, p_agent, 'settled',
        p_in, p_out, p_cached, p_cost, p_seconds, v_now);
END $$
"""
_LOSE: Final = """
CREATE FUNCTION budget_lose(
    p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid, p_model text, p_user uuid, p_agent text,
    p_lost uuid, p_tokens bigint, p_cost bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Counts a try of a call beside what is reserved for the next one; whether that still fits.
DECLARE
    v_now timestamptz := budget_lock(p_organisation, p_task);
BEGIN
    PERFORM budget_note(p_organisation, p_task, p_epoch, p_lost, p_model, p_user, p_agent, 'lost',
        p_tokens, 0, 0, p_cost, 0, v_now);
    RETURN NOT EXISTS (SELECT 1 FROM budget_lack(p_organisation, p_task, p_call, p_tokens, p_cost));
END $$
"""
_RELEASE: Final = """
CREATE FUNCTION budget_release(p_organisation uuid, p_task uuid, p_epoch bigint, p_call uuid)
RETURNS boolean LANGUAGE plpgsql AS $$
-- Gives back what was reserved for a call that costs nothing; false: nothing was.
BEGIN
    PERFORM budget_lock(p_organisation, p_task);
    DELETE FROM budget_reservations WHERE call_id = p_call AND epoch = p_epoch;
    RETURN FOUND;
END $$
"""
_ABANDON: Final = """
CREATE FUNCTION budget_abandon(p_task uuid, p_before timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
-- Counts what a task reserved before this time by its estimates: nothing comes of it any more.
DECLARE
    v_organisation uuid := (SELECT r.organisation_id FROM budget_reservations r WHERE r.task_id = p_task LIMIT 1);
BEGIN
    IF v_organisation IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM budget_lock(v_organisation, p_task);
    RETURN budget_count_cut(v_organisation, p_task, 9223372036854775807, p_before, '{}');
END $$
"""
_ALL: Final = (_PERIOD_START, _LOCK, _LACK, _NOTE, _COUNT_CUT, _RESERVE, _SETTLE, _LOSE, _RELEASE, _ABANDON)


def upgrade() -> None:
    for function in _ALL:
        op.execute(function)


def downgrade() -> None:
    for function in reversed(_ALL):
        op.execute("DROP FUNCTION " + function.split("CREATE FUNCTION ")[1].split("(")[0])
