"""Gates: durable waits for a person"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "gates",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("subject_id", sa.Uuid(), sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("schema", JSONB(), nullable=False),
        sa.Column("choices", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("expires_seconds", sa.Float(), nullable=True),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("has_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("default_answer", JSONB(), nullable=True),
        sa.Column("answer_id", sa.Uuid(), nullable=True),
        sa.Column("answer", JSONB(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answered_by_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("opened_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("answered_at", _MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('open', 'answered', 'expired', 'paused')", name="ck_gates_state"),
        sa.UniqueConstraint("subject_id", "scope", "key", "hash", name="uq_gates_subject_id_scope_key_hash"),
    )
    op.create_index(
        "ix_gates_open", "gates", ["organisation_id", "opened_at", "id"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_index("ix_gates_organisation", "gates", ["organisation_id", "opened_at", "id"])
    op.create_table(
        "gate_answers",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("gate_id", sa.Uuid(), sa.ForeignKey("gates.id", ondelete="CASCADE"), nullable=False),
        sa.Column("answer", JSONB(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("by_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("by_email", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
    )
    op.create_index("ix_gate_answers_gate_id", "gate_answers", ["gate_id"])


def downgrade() -> None:
    op.drop_table("gate_answers")
    op.drop_table("gates")
