"""Policies of tools, approvals of their calls, and an organisation's word on their effects"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_EFFECT = "effect IN ('read', 'idempotent', 'unsafe')"
_STATES = "state IN ('asked', 'denied', 'started', 'unknown', 'done', 'failed', 'same')"
_STATES_BEFORE = "state IN ('started', 'unknown', 'done', 'failed', 'same')"


def upgrade() -> None:
    op.create_table(
        "tool_policies",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("subject_id", sa.Uuid(), sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=True),
        sa.Column("arguments", JSONB(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("created_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("updated_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.CheckConstraint("decision IN ('allow', 'ask', 'deny')", name="ck_tool_policies_decision"),
        sa.CheckConstraint(_EFFECT, name="ck_tool_policies_effect"),
    )
    op.create_index("ix_tool_policies_organisation", "tool_policies", ["organisation_id", "id"])
    op.create_index("ix_tool_policies_subject", "tool_policies", ["subject_id"])
    op.create_table(
        "tool_effects",
        sa.Column("organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("set_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "tool", name="pk_tool_effects"),
        sa.CheckConstraint(_EFFECT, name="ck_tool_effects_effect"),
    )
    op.add_column("tool_calls", sa.Column("approval_hash", sa.Text(), nullable=True))
    op.add_column("tool_calls", sa.Column("approval_rule", sa.Text(), nullable=True))
    op.drop_constraint("ck_tool_calls_state", "tool_calls", type_="check")
    op.create_check_constraint("ck_tool_calls_state", "tool_calls", _STATES)


def downgrade() -> None:
    op.execute("DELETE FROM tool_calls WHERE state IN ('asked', 'denied')")
    op.drop_constraint("ck_tool_calls_state", "tool_calls", type_="check")
    op.create_check_constraint("ck_tool_calls_state", "tool_calls", _STATES_BEFORE)
    op.drop_column("tool_calls", "approval_rule")
    op.drop_column("tool_calls", "approval_hash")
    op.drop_table("tool_effects")
    op.drop_table("tool_policies")
