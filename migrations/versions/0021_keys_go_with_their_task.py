"""Idempotency keys of messages go with their task

They name it from now on. An API process of the version before leaves it out: its keys outlive a deleted task.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
NAME = "ix_idempotency_keys_task_id"


def upgrade() -> None:
    op.execute("""
        UPDATE idempotency_keys SET task_id = messages.task_id FROM messages
        WHERE kind = 'message' AND idempotency_keys.task_id IS NULL AND messages.id = subject_id
    """)
    op.execute("""
        DELETE FROM idempotency_keys WHERE kind = 'message' AND (
            task_id IS NULL OR task_id IN (SELECT id FROM tasks WHERE deleted_at IS NOT NULL)
        )
    """)
    with op.get_context().autocommit_block():
        op.create_index(NAME, "idempotency_keys", ["task_id"], postgresql_concurrently=True, if_not_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, table_name="idempotency_keys", postgresql_concurrently=True, if_exists=True)
