"""Idempotency keys of any kind

A key belongs to a kind and an id. A trigger goes on filling the column that named a task, for API processes of the
version before; it goes in a later one. Keys of before have that column alone, so that no row is written here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("kind", sa.Text(), server_default="task", nullable=False))
    op.add_column("idempotency_keys", sa.Column("subject_id", sa.Uuid(), nullable=True))
    op.alter_column("idempotency_keys", "task_id", nullable=True)
    op.execute("""
        CREATE OR REPLACE FUNCTION idempotency_both() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.subject_id := coalesce(NEW.subject_id, NEW.task_id);
            IF NEW.kind = 'task' THEN
                NEW.task_id := NEW.subject_id;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER idempotency_both BEFORE INSERT ON idempotency_keys
        FOR EACH ROW EXECUTE FUNCTION idempotency_both()
    """)


def downgrade() -> None:
    op.execute("DELETE FROM idempotency_keys WHERE kind <> 'task'")
    op.execute("DROP TRIGGER idempotency_both ON idempotency_keys")
    op.execute("DROP FUNCTION idempotency_both()")
    op.alter_column("idempotency_keys", "task_id", nullable=False)
    op.drop_column("idempotency_keys", "subject_id")
    op.drop_column("idempotency_keys", "kind")
