"""What is left to remove of deleted tasks

Tasks that were deleted before kept their events: they are noted too. A trigger fills the table, so that what a build
before this one deletes during a rollout is removed as well.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (("ix_feedback_task_id", "task_id"), ("ix_feedback_answered_in", "answered_in"))
"""Without them each removal, and each document that it deletes, would read all feedback there is."""


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_removals_task_id_tasks"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_removals")),
    )
    op.create_index(op.f("ix_removals_since"), "removals", ["since"])
    op.execute(
        """
CREATE FUNCTION tasks_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO removals (task_id, since) VALUES (NEW.id, NEW.deleted_at) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
    )
    op.execute(
        "CREATE TRIGGER tasks_removal AFTER UPDATE OF deleted_at ON tasks FOR EACH ROW"
        " WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tasks_removal()"
    )
    op.execute(
        "INSERT INTO removals (task_id, since) SELECT id, deleted_at FROM tasks WHERE deleted_at IS NOT NULL"
        " ON CONFLICT DO NOTHING"
    )
    # What people wrote is little: comments wait for some milliseconds.
    for name, column in INDEXES:
        op.create_index(name, "feedback", [column])


def downgrade() -> None:
    for name, _ in INDEXES:
        op.drop_index(name, table_name="feedback")
    op.execute("DROP TRIGGER tasks_removal ON tasks")
    op.execute("DROP FUNCTION tasks_removal()")
    op.drop_table("removals")
