"""Attempts that are asked to end, and how often an agent began at a checkpoint

Adds columns with constant defaults, which rewrites nothing. Workers of the version before know none of them: an attempt
of theirs ends by itself after a batch, and their beginnings are not counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("asked_to_move", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("begun_at", sa.Text(), nullable=True))
    op.add_column("executions", sa.Column("beginnings", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("executions", "beginnings")
    op.drop_column("executions", "begun_at")
    op.drop_column("executions", "asked_to_move")
