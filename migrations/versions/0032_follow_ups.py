"""What people say to tasks that are done"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("begun", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "first_seq"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "ix_follow_ups_pending", "follow_ups", ["task_id"], unique=True, postgresql_where=sa.text("begun IS NULL")
    )


def downgrade() -> None:
    op.drop_table("follow_ups")
