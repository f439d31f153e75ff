"""What tasks wait for before an agent works on them, and which worker took the last attempt"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("waiting", sa.Text(), nullable=True))
    op.add_column("executions", sa.Column("worker", sa.Text(), nullable=True))
    op.create_index("ix_executions_waiting", "executions", ["task_id"], postgresql_where=sa.text("waiting IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_executions_waiting", "executions")
    op.drop_column("executions", "worker")
    op.drop_column("executions", "waiting")
