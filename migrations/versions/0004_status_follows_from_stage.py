"""A task's status follows from its stage

Nothing of this build reads or writes `tasks.status`; `pavo.tasks.domain.status_of` computes it. Builds before this one
do both, and may run beside it during a rollout: the trigger keeps the column true for them. A later release drops both.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE FUNCTION tasks_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := CASE NEW.stage
        WHEN 'INIT' THEN 'PENDING'
        WHEN 'PLANNING' THEN 'RUNNING'
        WHEN 'WAIT_RFC' THEN 'PAUSED'
        WHEN 'EXECUTING' THEN 'RUNNING'
        WHEN 'DONE' THEN 'COMPLETED'
        WHEN 'STOPPED' THEN 'PAUSED'
        WHEN 'FAILED' THEN 'ERROR'
    END;
    RETURN NEW;
END $$
"""
    )
    op.execute(
        "CREATE TRIGGER tasks_status BEFORE INSERT OR UPDATE OF stage ON tasks"
        " FOR EACH ROW EXECUTE FUNCTION tasks_status()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tasks_status ON tasks")
    op.execute("DROP FUNCTION tasks_status()")
