"""What is known of the ends of workers that a task was in"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("ends", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("executions", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("executions", sa.Column("alone_in", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "alone_in")
    op.drop_column("executions", "ended_at")
    op.drop_column("executions", "ends")
