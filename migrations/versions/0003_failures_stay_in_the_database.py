"""What an agent's failure says stays in the database"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("failure", JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "failure")
