"""Runs of flows that are steps of others"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

_PARENT = "fk_flow_runs_parent_id_flow_runs"


def upgrade() -> None:
    op.add_column("flow_runs", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.add_column("flow_runs", sa.Column("parent_step", sa.Text(), nullable=True))
    op.add_column("flow_runs", sa.Column("parent_item", sa.Integer(), nullable=True))
    op.add_column("flow_runs", sa.Column("depth", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_foreign_key(op.f(_PARENT), "flow_runs", "flow_runs", ["parent_id"], ["id"], ondelete="SET NULL")
    is_below = sa.text("parent_id IS NOT NULL")
    op.create_index("ix_flow_runs_parent_id", "flow_runs", ["parent_id"], unique=False, postgresql_where=is_below)


def downgrade() -> None:
    op.drop_index("ix_flow_runs_parent_id", "flow_runs")
    op.drop_constraint(op.f(_PARENT), "flow_runs", type_="foreignkey")
    for column in ("depth", "parent_item", "parent_step", "parent_id"):
        op.drop_column("flow_runs", column)
