"""How long a step of a task may take, where the task says so"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("step_seconds", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("tasks", "step_seconds")
