"""Webhooks, and the outbox that tells them

Triggers fill the outbox in the transaction that moves a task, whatever build moves it. The outbox refers to webhooks
without a foreign key: a task's transition must never wait for a lock on a webhook's row.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ENQUEUE = """
CREATE FUNCTION webhook_enqueue(p_organisation uuid, p_type text, p_task uuid, p_data jsonb)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_deliveries (webhook_id, type, task_id, data)
    SELECT w.id, p_type, p_task, p_data FROM webhooks w
    WHERE w.organisation_id = p_organisation AND w.enabled AND p_type = ANY (w.events)
$$
"""
_OF_TASKS = """
CREATE FUNCTION tasks_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_data jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM webhooks w WHERE w.organisation_id = NEW.organisation_id AND w.enabled) THEN
        RETURN NULL;
    END IF;
    v_data := jsonb_build_object(
        'organisation_id', NEW.organisation_id, 'task_id', NEW.id, 'agent_type', NEW.agent_type,
        'created_by', NEW.created_by, 'stage', NEW.stage, 'previous_stage', OLD.stage
    );
    IF NEW.deleted_at IS NOT NULL THEN
        PERFORM webhook_enqueue(NEW.organisation_id, 'task.deleted', NEW.id, v_data);
        RETURN NULL;
    END IF;
    PERFORM webhook_enqueue(NEW.organisation_id, 'task.stage_changed', NEW.id, v_data);
    IF NEW.stage = 'WAIT_RFC' THEN
        PERFORM webhook_enqueue(NEW.organisation_id, 'task.waiting', NEW.id, v_data || '{"reason": "review"}');
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_webhooks_created_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_webhooks_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("uq_webhooks_organisation_id_url", "webhooks", ["organisation_id", "url"], unique=True)
    op.create_table(
        "webhook_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_secrets_webhook_id_webhooks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_secrets")),
    )
    op.create_index(op.f("ix_webhook_secrets_webhook_id"), "webhook_secrets", ["webhook_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("claimed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name=op.f("ck_webhook_deliveries_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "due_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_webhook_deliveries_log", "webhook_deliveries", ["webhook_id", "created_at", "id"])
    op.create_index(op.f("ix_webhook_deliveries_task_id"), "webhook_deliveries", ["task_id"])
    op.create_index(op.f("ix_webhook_deliveries_created_at"), "webhook_deliveries", ["created_at"])
    op.execute(_ENQUEUE)
    op.execute(_OF_TASKS)
    op.execute(
        "CREATE TRIGGER tasks_webhooks_stage AFTER UPDATE OF stage ON tasks FOR EACH ROW"
        " WHEN (NEW.stage IS DISTINCT FROM OLD.stage AND NEW.deleted_at IS NULL) EXECUTE FUNCTION tasks_webhooks()"
    )
    op.execute(
        "CREATE TRIGGER tasks_webhooks_deleted AFTER UPDATE OF deleted_at ON tasks FOR EACH ROW"
        " WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL) EXECUTE FUNCTION tasks_webhooks()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tasks_webhooks_deleted ON tasks")
    op.execute("DROP TRIGGER tasks_webhooks_stage ON tasks")
    op.execute("DROP FUNCTION tasks_webhooks()")
    op.execute("DROP FUNCTION webhook_enqueue(uuid, text, uuid, jsonb)")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_secrets")
    op.drop_table("webhooks")
