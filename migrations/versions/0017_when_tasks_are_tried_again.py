"""When tasks whose agent failed are tried again"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("executions", sa.Column("retry_epoch", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "retry_epoch")
    op.drop_column("executions", "retry_at")
