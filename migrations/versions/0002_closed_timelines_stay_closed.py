"""Closed timelines stay closed"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_BEFORE = """
CREATE OR REPLACE FUNCTION timeline_append(p_timeline uuid, p_events jsonb, p_close boolean DEFAULT false)
RETURNS TABLE (first_seq bigint, at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint := jsonb_array_length(p_events);
    v_last bigint;
    v_at timestamptz := date_trunc('microseconds', clock_timestamp());
BEGIN
"""
_AFTER = """
    INSERT INTO events (timeline_id, seq, type, at, data)
        SELECT p_timeline, v_last - v_count + e.n, e.value ->> 'type', v_at, e.value - 'type'
        FROM jsonb_array_elements(p_events) WITH ORDINALITY AS e(value, n);
    RETURN QUERY SELECT v_last - v_count + 1, v_at;
END $$
"""


def upgrade() -> None:
    op.execute(
        _BEFORE
        + """
    UPDATE timelines t SET last_seq = t.last_seq + v_count, closed = t.closed OR p_close
        WHERE t.id = p_timeline AND (p_close OR NOT t.closed) RETURNING t.last_seq INTO v_last;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM timelines t WHERE t.id = p_timeline) THEN
            RAISE EXCEPTION 'timeline % is closed', p_timeline USING ERRCODE = 'check_violation';
        END IF;
        RAISE EXCEPTION 'timeline % does not exist', p_timeline USING ERRCODE = 'no_data_found';
    END IF;
"""
        + _AFTER
    )


def downgrade() -> None:
    op.execute(
        _BEFORE
        + """
    UPDATE timelines t SET last_seq = t.last_seq + v_count, closed = t.closed OR p_close
        WHERE t.id = p_timeline RETURNING t.last_seq INTO v_last;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'timeline % does not exist', p_timeline USING ERRCODE = 'no_data_found';
    END IF;
"""
        + _AFTER
    )
