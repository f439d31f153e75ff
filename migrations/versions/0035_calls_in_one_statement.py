"""Calls of models and tools are begun and settled in one statement each"""

from typing import Final

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

# In the order of a transaction of the long way: first the execution is locked and its epoch seen. Each statement within
# a function sees what was committed before it began, so what follows the lock is read after it.
_HOLDS: Final = """
CREATE FUNCTION attempt_holds(p_task uuid, p_epoch bigint, p_working boolean) RETURNS boolean LANGUAGE plpgsql AS $$
-- Whether this is the newest attempt, and working: has not given its lease back; no other begins before the caller
-- commits.
DECLARE
    v_holder text;
BEGIN
    SELECT e.holder INTO v_holder FROM executions e WHERE e.task_id = p_task AND e.epoch = p_epoch FOR SHARE;
    RETURN FOUND AND NOT (p_working AND v_holder IS NULL);
END $$
"""
_MODEL_BEGIN: Final = """
CREATE FUNCTION model_call_begin(
    p_call uuid, p_organisation uuid, p_subject uuid, p_scope text, p_identity text, p_hash text, p_endpoint text,
    p_model text, p_epoch bigint, p_user uuid, p_agent text, p_tokens bigint, p_cost bigint, p_under_way uuid[]
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Writes the intent of a call that none made before, and reserves for it; false: it is another case, and nothing is
-- written of this call.
DECLARE
    v_outcome text;
BEGIN
    INSERT INTO model_calls (id, subject_id, scope, identity, request_hash, endpoint, model, epoch)
    VALUES (p_call, p_subject, p_scope, p_identity, p_hash, p_endpoint, p_model, p_epoch) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT r.outcome INTO v_outcome FROM budget_reserve(p_organisation, p_subject, p_epoch, p_call, p_model, p_user,
        p_agent, p_tokens, p_cost, p_under_way) r;
    IF v_outcome = 'reserved' THEN
        RETURN true;
    END IF;
    DELETE FROM model_calls WHERE id = p_call;
    RETURN false;
END $$
"""
_MODEL_SETTLE: Final = """
CREATE FUNCTION model_call_settle(
    p_call uuid, p_organisation uuid, p_subject uuid, p_model text, p_epoch bigint, p_user uuid, p_agent text,
    p_answer jsonb, p_in bigint, p_out bigint, p_cached bigint, p_cost bigint, p_seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Records an answer and counts what it took; false: the call is another attempt's, and nothing was changed. Doing it
-- again changes nothing, and is answered as the first time.
BEGIN
    UPDATE model_calls SET state = 'done', answer = p_answer, settled_at = pavo_now()
    WHERE id = p_call AND epoch = p_epoch AND state = 'started';
    IF NOT FOUND AND NOT EXISTS (SELECT FROM model_calls WHERE id = p_call AND epoch = p_epoch AND state = 'done') THEN
        RETURN false;
    END IF;
    PERFORM budget_settle(p_organisation, p_subject, p_epoch, p_call, p_model, p_user, p_agent,
        p_in, p_out, p_cached, p_cost, p_seconds);
    RETURN true;
END $$
"""
_TOOL_BEGIN: Final = """
CREATE FUNCTION tool_call_begin(
    p_call uuid, p_organisation uuid, p_subject uuid, p_scope text, p_identity text, p_tool text, p_arguments jsonb,
    p_hash text, p_effect text, p_epoch bigint, p_agent text, p_words text, p_events jsonb
) RETURNS TABLE (outcome text, words text, effect text, policies jsonb, first_seq bigint, at timestamptz)
LANGUAGE plpgsql AS $$
-- Writes the intent of a call that none made before and that is allowed by these words of its organisation.
-- words: it says something else than the caller knows, told here. other: it is another case. Then nothing is written.
#variable_conflict use_column
DECLARE
    v_effect text := (SELECT e.effect FROM tool_effects e WHERE e.organisation_id = p_organisation AND e.tool = p_tool);
    v_policies jsonb := (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.id) FROM tool_policies p
        WHERE p.organisation_id = p_organisation
        AND (p.subject_id IS NULL AND (p.agent IS NULL OR p.agent = p_agent) OR p.subject_id = p_subject));
    v_words text := coalesce(v_effect, '') || ' ' || coalesce(md5(v_policies::text), '');
BEGIN
    IF v_words IS DISTINCT FROM p_words THEN
        RETURN QUERY SELECT 'words', v_words, v_effect, v_policies, NULL::bigint, NULL::timestamptz;
        RETURN;
    END IF;
    IF p_effect = 'unsafe' AND EXISTS (
        SELECT FROM tool_calls t WHERE t.subject_id = p_subject AND t.tool = p_tool
        AND t.arguments_hash = p_hash AND (t.state = 'unknown' OR t.state = 'started' AND t.epoch < p_epoch)
    ) THEN
        RETURN QUERY SELECT 'other', v_words, NULL::text, NULL::jsonb, NULL::bigint, NULL::timestamptz;
        RETURN;
    END IF;
    INSERT INTO tool_calls (id, subject_id, scope, identity, tool, arguments, arguments_hash, effect, state, epoch)
    VALUES (p_call, p_subject, p_scope, p_identity, p_tool, p_arguments, p_hash, p_effect, 'started', p_epoch)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'other', v_words, NULL::text, NULL::jsonb, NULL::bigint, NULL::timestamptz;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'begun', v_words, NULL::text, NULL::jsonb, a.first_seq, a.at
        FROM timeline_append(p_subject, p_events) a;
END $$
"""
_TOOL_SETTLE: Final = """
CREATE FUNCTION tool_call_settle(
    p_call uuid, p_subject uuid, p_epoch bigint, p_state text, p_outcome jsonb, p_error text, p_remedy text,
    p_events jsonb
) RETURNS TABLE (first_seq bigint, at timestamptz) LANGUAGE plpgsql AS $$
-- Records what came of a call; no row: it is another attempt's, and nothing was changed.
#variable_conflict use_column
BEGIN
    UPDATE tool_calls SET state = p_state, settled_at = pavo_now(), outcome = p_outcome, error = p_error,
        remedy = p_remedy
    WHERE id = p_call AND epoch = p_epoch AND state = 'started';
    IF FOUND THEN
        RETURN QUERY SELECT a.first_seq, a.at FROM timeline_append(p_subject, p_events) a;
    END IF;
END $$
"""
_ALL: Final = (_HOLDS, _MODEL_BEGIN, _MODEL_SETTLE, _TOOL_BEGIN, _TOOL_SETTLE)


def upgrade() -> None:
    for function in _ALL:
        op.execute(function)


def downgrade() -> None:
    for function in reversed(_ALL):
        op.execute("DROP FUNCTION " + function.split("CREATE FUNCTION ")[1].split("(")[0])
