"""What the last attempt of a task ran"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("code", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "code")
