"""Runs of flows that are paused"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flow_runs", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("flow_runs", sa.Column("paused_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("paused_reason", "paused_at"):
        op.drop_column("flow_runs", column)
