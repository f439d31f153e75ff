"""What was deleted before is left to remove too

And the indexes without which each removal, and each document that it deletes, would read all feedback there is.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = (("ix_feedback_task_id", "task_id"), ("ix_feedback_answered_in", "answered_in"))


def upgrade() -> None:
    op.execute(
        "INSERT INTO removals (task_id, since) SELECT id, deleted_at FROM tasks WHERE deleted_at IS NOT NULL"
        " ON CONFLICT DO NOTHING"
    )
    with op.get_context().autocommit_block():
        for name, column in INDEXES:
            op.create_index(name, "feedback", [column], postgresql_concurrently=True, if_not_exists=True)


def downgrade() -> None:
    for name, _ in INDEXES:
        op.drop_index(name, table_name="feedback")
