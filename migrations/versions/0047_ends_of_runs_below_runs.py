"""Ends of runs that are steps of others start nothing"""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_TRIGGER = """
CREATE TRIGGER flow_runs_triggers AFTER UPDATE OF state ON flow_runs FOR EACH ROW
WHEN (NEW.state IS DISTINCT FROM OLD.state AND NEW.deleted_at IS NULL
    AND NEW.state IN ('succeeded', 'failed', 'cancelled') {more})
EXECUTE FUNCTION flow_runs_triggers()
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER flow_runs_triggers ON flow_runs")
    op.execute(_TRIGGER.format(more="AND NEW.parent_id IS NULL"))


def downgrade() -> None:
    op.execute("DROP TRIGGER flow_runs_triggers ON flow_runs")
    op.execute(_TRIGGER.format(more=""))
