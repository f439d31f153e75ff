"""Who may answer a gate: any member, or an owner alone"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gates", sa.Column("may_answer", sa.Text(), server_default="member", nullable=False))
    op.create_check_constraint("may_answer", "gates", "may_answer IN ('member', 'owner')")
    op.execute("""
    UPDATE gates g SET may_answer = 'owner' FROM budgets b
    WHERE g.kind = 'budget' AND g.state IN ('open', 'paused') AND b.task_id IS NULL
        AND b.organisation_id = g.organisation_id AND right(b.id::text, 12) = split_part(g.key, '/', 3)
    """)


def downgrade() -> None:
    op.drop_column("gates", "may_answer")
