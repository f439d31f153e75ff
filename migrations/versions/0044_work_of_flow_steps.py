"""What steps of flows have others do"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

_STATE = "ck_flow_results_state"
_BEFORE = "'running', 'timer', 'retrying', 'unknown', 'succeeded', 'failed', 'cancelled'"


def upgrade() -> None:
    op.add_column("flow_results", sa.Column("work_kind", sa.Text(), nullable=True))
    op.add_column("flow_results", sa.Column("work_id", sa.Uuid(), nullable=True))
    op.add_column("flow_results", sa.Column("is_left", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.drop_constraint(op.f(_STATE), "flow_results", type_="check")
    op.create_check_constraint(op.f(_STATE), "flow_results", f"state IN ({_BEFORE}, 'skipped', 'awaiting')")
    watched = sa.text("work_id IS NOT NULL AND NOT is_left")
    op.create_index("ix_flow_results_work", "flow_results", ["run_id"], unique=False, postgresql_where=watched)


def downgrade() -> None:
    op.drop_index("ix_flow_results_work", "flow_results")
    op.drop_constraint(op.f(_STATE), "flow_results", type_="check")
    op.create_check_constraint(op.f(_STATE), "flow_results", f"state IN ({_BEFORE})")
    for column in ("is_left", "work_id", "work_kind"):
        op.drop_column("flow_results", column)
