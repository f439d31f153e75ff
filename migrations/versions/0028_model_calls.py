"""The journal of models' calls, and tokens of the gateway"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "model_calls",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("subject_id", sa.Uuid(), sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="started", nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("answer", JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("seen_epoch", sa.BigInteger(), nullable=True),
        sa.Column("started_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('started', 'done', 'failed')", name="ck_model_calls_state"),
        sa.UniqueConstraint("subject_id", "scope", "identity", name="uq_model_calls_subject_id_scope_identity"),
    )
    op.create_index(
        "ix_model_calls_placed",
        "model_calls",
        ["subject_id", "scope", "place", "request_hash"],
        postgresql_where=sa.text("place IS NOT NULL"),
    )
    op.create_table(
        "gateway_tokens",
        sa.Column("hash", sa.LargeBinary(), primary_key=True),
        sa.Column("task_id", sa.Uuid(), sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
    )
    op.create_index("ix_gateway_tokens_task_id", "gateway_tokens", ["task_id"])


def downgrade() -> None:
    op.drop_table("gateway_tokens")
    op.drop_table("model_calls")
