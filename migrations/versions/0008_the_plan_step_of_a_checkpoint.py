"""The plan step of a checkpoint

What the last checkpoint says about the plan's steps. Workers of the version before do not write it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("plan_step", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "plan_step")
