"""The ledger of tools' calls"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("subject_id", sa.Uuid(), sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("arguments", JSONB(), nullable=False),
        sa.Column("arguments_hash", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="started", nullable=False),
        sa.Column("same_as", sa.Uuid(), sa.ForeignKey("tool_calls.id", ondelete="CASCADE"), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("asked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("outcome", JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("remedy", sa.Text(), nullable=True),
        sa.Column("started_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('started', 'unknown', 'done', 'failed', 'same')", name="ck_tool_calls_state"),
        sa.CheckConstraint("effect IN ('read', 'idempotent', 'unsafe')", name="ck_tool_calls_effect"),
        sa.UniqueConstraint("subject_id", "scope", "identity", name="uq_tool_calls_subject_id_scope_identity"),
    )
    op.create_index("ix_tool_calls_same_as", "tool_calls", ["same_as"])
    op.create_index(
        "ix_tool_calls_unsettled",
        "tool_calls",
        ["subject_id", "scope", "tool", "arguments_hash"],
        postgresql_where=sa.text("state IN ('started', 'unknown')"),
    )


def downgrade() -> None:
    op.drop_table("tool_calls")
