"""What attempts took: their time and their checkpoints

A trigger notes it in the statement in which an attempt ends, whichever that is; steps and their commits write nothing
more. Of tasks of before the checkpoints are known, and no times.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_NOTE: Final = """
CREATE FUNCTION usage_of_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
-- An attempt ends: in order, or because another begins, the task is stopped or deleted, or its run is lost. One that
-- was cut counts until the last thing that its task recorded, for nobody knows more.
DECLARE
    v_until timestamptz := pavo_now();
BEGIN
    IF OLD.opened_at IS NOT NULL THEN
        IF TG_OP = 'DELETE' OR NEW.epoch <> OLD.epoch THEN
            SELECT least(v_until, e.at) INTO v_until FROM timelines l
            JOIN events e ON e.timeline_id = l.id AND e.seq = l.last_seq WHERE l.id = OLD.task_id;
        END IF;
        INSERT INTO usage_attempts (id, organisation_id, task_id, user_id, agent, steps, tools, seconds, at)
        SELECT gen_random_uuid(), t.organisation_id, t.id, t.created_by, t.agent_type,
            greatest(0, OLD.step - OLD.opened_step), 0,
            greatest(0, extract(epoch FROM coalesce(v_until, OLD.opened_at) - OLD.opened_at)),
            greatest(OLD.opened_at, coalesce(v_until, OLD.opened_at))
        FROM tasks t WHERE t.id = OLD.task_id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        -- The task is deleted, its calls of tools with it: their numbers stay, as its organisation has paid for them.
        INSERT INTO usage_attempts (id, organisation_id, task_id, user_id, agent, steps, tools, seconds, at)
        SELECT gen_random_uuid(), t.organisation_id, t.id, t.created_by, t.agent_type, 0, count(*), 0, min(c.started_at)
        FROM tasks t JOIN tool_calls c ON c.subject_id = t.id AND c.state NOT IN ('asked', 'denied', 'same')
        WHERE t.id = OLD.task_id
        GROUP BY t.organisation_id, t.id, t.created_by, t.agent_type, date_trunc('day', c.started_at, 'UTC');
        RETURN OLD;
    END IF;
    NEW.opened_at := CASE WHEN NEW.epoch <> OLD.epoch AND NEW.holder IS NOT NULL THEN pavo_now() END;
    NEW.opened_step := NEW.step;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "usage_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("tools", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_attempts")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="SET NULL"),
    )
    op.create_index("ix_usage_attempts_organisation_id", "usage_attempts", ["organisation_id", "at"])
    op.create_index("ix_usage_attempts_task_id", "usage_attempts", ["task_id"])
    op.add_column("executions", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("executions", sa.Column("opened_step", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.execute("""
    INSERT INTO usage_attempts (id, organisation_id, task_id, user_id, agent, steps, tools, seconds, at)
    SELECT gen_random_uuid(), t.organisation_id, t.id, t.created_by, t.agent_type, e.step, 0, 0, t.updated_at
    FROM executions e JOIN tasks t ON t.id = e.task_id WHERE e.step > 0 AND t.deleted_at IS NULL
    """)
    op.execute("UPDATE executions SET opened_at = pavo_now(), opened_step = step WHERE holder IS NOT NULL")
    op.execute(_NOTE)
    op.execute("""
    CREATE TRIGGER usage_of_attempt BEFORE UPDATE ON executions FOR EACH ROW
    WHEN (OLD.epoch <> NEW.epoch OR (OLD.holder IS NOT NULL AND NEW.holder IS NULL))
    EXECUTE FUNCTION usage_of_attempt()
    """)
    op.execute("""
    CREATE TRIGGER usage_of_attempt_deleted BEFORE DELETE ON executions FOR EACH ROW
    EXECUTE FUNCTION usage_of_attempt()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER usage_of_attempt_deleted ON executions")
    op.execute("DROP TRIGGER usage_of_attempt ON executions")
    op.execute("DROP FUNCTION usage_of_attempt")
    op.drop_column("executions", "opened_step")
    op.drop_column("executions", "opened_at")
    op.drop_table("usage_attempts")
