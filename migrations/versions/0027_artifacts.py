"""Artifacts: files of tasks

Triggers count what organisations keep and note content that lost a name, in the transaction in which that happens,
whichever build or cascade does it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)

_ADDED = """
CREATE FUNCTION artifacts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO artifact_usage AS u (organisation_id, bytes)
    SELECT organisation_id, sum(bytes) FROM changed GROUP BY 1 ORDER BY 1
    ON CONFLICT (organisation_id) DO UPDATE SET bytes = u.bytes + excluded.bytes;
    RETURN NULL;
END $$
"""
_REMOVED = """
CREATE FUNCTION artifacts_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO artifact_leftovers (organisation_id, sha256, due_at)
    SELECT DISTINCT organisation_id, sha256, pavo_now() FROM changed ORDER BY 1, 2
    ON CONFLICT (organisation_id, sha256) DO UPDATE SET due_at = excluded.due_at;
    UPDATE artifact_usage u SET bytes = u.bytes - c.bytes
    FROM (SELECT organisation_id, sum(bytes) AS bytes FROM changed GROUP BY 1) c
    WHERE u.organisation_id = c.organisation_id;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column(
            *("organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE")), nullable=False
        ),
        sa.Column("subject_id", sa.Uuid(), sa.ForeignKey("timelines.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.UniqueConstraint("subject_id", "name", name="uq_artifacts_subject_id_name"),
    )
    op.create_index("ix_artifacts_content", "artifacts", ["organisation_id", "sha256"])
    op.create_table(
        "artifact_usage",
        sa.Column("organisation_id", sa.Uuid(), primary_key=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "artifact_leftovers",
        sa.Column("organisation_id", sa.Uuid(), primary_key=True),
        sa.Column("sha256", sa.Text(), primary_key=True),
        sa.Column("due_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
    )
    op.create_index("ix_artifact_leftovers_due_at", "artifact_leftovers", ["due_at"])
    op.execute(_ADDED)
    op.execute(_REMOVED)
    each = "REFERENCING {} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION"
    op.execute(f"CREATE TRIGGER artifacts_added AFTER INSERT ON artifacts {each.format('NEW')} artifacts_added()")
    op.execute(f"CREATE TRIGGER artifacts_removed AFTER DELETE ON artifacts {each.format('OLD')} artifacts_removed()")


def downgrade() -> None:
    op.drop_table("artifacts")
    op.execute("DROP FUNCTION artifacts_added()")
    op.execute("DROP FUNCTION artifacts_removed()")
    op.drop_table("artifact_usage")
    op.drop_table("artifact_leftovers")
