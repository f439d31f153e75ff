"""What is left to remove of deleted tasks

A trigger fills the table, so that what a build before this one deletes during a rollout is removed as well. What was
deleted before is noted by the next revision, which holds no lock that would keep writers of tasks out.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


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


def downgrade() -> None:
    op.execute("DROP TRIGGER tasks_removal ON tasks")
    op.execute("DROP FUNCTION tasks_removal()")
    op.drop_table("removals")
