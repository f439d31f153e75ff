"""Triggers, and the ends that start something"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0043"
down_revision = "0041"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_MOMENT = sa.DateTime(timezone=True)
_NOW = sa.text("pavo_now()")
_ENQUEUE = """
CREATE FUNCTION trigger_enqueue(
    p_organisation uuid, p_kind text, p_subject uuid, p_outcome text, p_flow text, p_data jsonb
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO trigger_firings (trigger_id, delivery, event, payload, cause_id)
    SELECT t.id, gen_random_uuid()::text, p_kind || '.ended', p_data || jsonb_build_object(
        'kind', p_kind, 'id', p_subject, 'organisation_id', p_organisation, 'outcome', p_outcome
    ), p_subject
    FROM triggers t
    WHERE t.organisation_id = p_organisation AND t.event_kind = p_kind AND t.deleted_at IS NULL
        AND t.paused_at IS NULL
        AND (t.outcomes = '{}' OR p_outcome = ANY (t.outcomes)) AND (t.flows = '{}' OR p_flow = ANY (t.flows))
$$
"""
_FUNCTION = """
CREATE FUNCTION %(table)s_triggers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trigger_enqueue(
        NEW.organisation_id, '%(kind)s', NEW.id, %(outcome)s, %(flow)s, jsonb_build_object(%(data)s)
    );
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER %(table)s_triggers AFTER UPDATE OF %(column)s ON %(table)s FOR EACH ROW
WHEN (NEW.%(column)s IS DISTINCT FROM OLD.%(column)s AND NEW.deleted_at IS NULL AND NEW.%(column)s IN %(over)s %(more)s)
EXECUTE FUNCTION %(table)s_triggers()
"""
_ENDS = (
    {
        "table": "tasks",
        "kind": "task",
        "column": "stage",
        "over": "('DONE', 'FAILED', 'STOPPED')",
        # One that another task has delegated is a part of that one.
        "more": "AND NEW.parent_id IS NULL",
        "outcome": "CASE NEW.stage WHEN 'DONE' THEN 'succeeded' WHEN 'FAILED' THEN 'failed' ELSE 'cancelled' END",
        "flow": "NULL",
        "data": "'agent_type', NEW.agent_type, 'stage', NEW.stage",
    },
    {
        "table": "jobs",
        "kind": "job",
        "column": "stage",
        "over": "('DONE', 'FAILED', 'CANCELLED')",
        "more": "",
        "outcome": "CASE NEW.stage WHEN 'DONE' THEN 'succeeded' WHEN 'FAILED' THEN 'failed' ELSE 'cancelled' END",
        "flow": "NULL",
        "data": "'program', NEW.program, 'repository_id', NEW.repository_id, 'stage', NEW.stage",
    },
    {
        "table": "flow_runs",
        "kind": "flow",
        "column": "state",
        "over": "('succeeded', 'failed', 'cancelled')",
        "more": "",
        "outcome": "NEW.state",
        "flow": "NEW.flow",
        "data": "'flow', NEW.flow, 'stage', NEW.state",
    },
)


def upgrade() -> None:
    _triggers()
    _secrets()
    _firings()
    op.create_index("ix_idempotency_keys_subject_id", "idempotency_keys", ["subject_id"], unique=False)
    op.execute(_ENQUEUE)
    for end in _ENDS:
        op.execute(_FUNCTION % end)
        op.execute(_TRIGGER % end)


def _triggers() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("event_kind", sa.Text(), nullable=True),
        sa.Column("outcomes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("flows", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("paused_at", _MOMENT, nullable=True),
        sa.Column("paused_by", sa.Uuid(), nullable=True),
        sa.Column("paused_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("acts_for", sa.Uuid(), nullable=True),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("deleted_at", _MOMENT, nullable=True),
        sa.CheckConstraint("origin IN ('webhook', 'event')", name=op.f("ck_triggers_origin")),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_triggers_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["paused_by"], ["users.id"], name=op.f("fk_triggers_paused_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["acts_for"], ["users.id"], name=op.f("fk_triggers_acts_for_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triggers")),
    )
    op.create_index(
        "uq_triggers_organisation_id_name",
        "triggers",
        ["organisation_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_triggers_events",
        "triggers",
        ["organisation_id", "event_kind"],
        unique=False,
        postgresql_where=sa.text("event_kind IS NOT NULL AND deleted_at IS NULL AND paused_at IS NULL"),
    )


def _secrets() -> None:
    op.create_table(
        "trigger_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trigger_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["trigger_id"], ["triggers.id"], name=op.f("fk_trigger_secrets_trigger_id_triggers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_secrets")),
    )
    op.create_index(op.f("ix_trigger_secrets_trigger_id"), "trigger_secrets", ["trigger_id"], unique=False)


def _firings() -> None:
    op.create_table(
        "trigger_firings",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("trigger_id", sa.Uuid(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), server_default="", nullable=False),
        sa.Column("payload", _JSON, nullable=True),
        sa.Column("cause_id", sa.Uuid(), nullable=True),
        sa.Column("depth", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("looked_at", _MOMENT, nullable=True),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("body", _JSON, nullable=True),
        sa.Column("acts_for", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("told", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'starting', 'started', 'skipped', 'failed')", name=op.f("ck_trigger_firings_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_firings")),
        sa.UniqueConstraint("trigger_id", "delivery", name=op.f("uq_trigger_firings_trigger_id")),
    )
    op.create_index("ix_trigger_firings_log", "trigger_firings", ["trigger_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_trigger_firings_unsettled",
        "trigger_firings",
        ["looked_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('due', 'starting')"),
    )
    op.create_index("ix_trigger_firings_created_at", "trigger_firings", ["created_at"], unique=False)


def downgrade() -> None:
    for end in _ENDS:
        op.execute(f"DROP TRIGGER {end['table']}_triggers ON {end['table']}")
        op.execute(f"DROP FUNCTION {end['table']}_triggers()")
    op.execute("DROP FUNCTION trigger_enqueue(uuid, text, uuid, text, text, jsonb)")
    op.drop_index("ix_idempotency_keys_subject_id", "idempotency_keys")
    for table in ("trigger_firings", "trigger_secrets", "triggers"):
        op.drop_table(table)
