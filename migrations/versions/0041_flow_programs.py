"""Programs that alone execute their runs of flows"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flow_runs", sa.Column("program", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("flow_runs", "program")
