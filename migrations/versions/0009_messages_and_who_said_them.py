"""Messages, and who said them

What people say to a task stands in a table of its own; an acceptance names its user by id. All of it is new and
nullable: the version before reads and writes what it knew. No foreign key on the column of
`documents`: to add one would lock that table and `users`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("placed", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"]),
    )
    op.create_index("ix_messages_task", "messages", ["task_id", "seq"])
    op.add_column("documents", sa.Column("accepted_by_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("documents", "accepted_by_id")
    op.drop_table("messages")
