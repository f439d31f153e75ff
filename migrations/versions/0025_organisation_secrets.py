"""Secrets of organisations, sealed"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "organisation_secrets",
        sa.Column(
            "organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("set_by", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("set_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
    )
    op.create_table(
        "organisation_secret_changes",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("by", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.CheckConstraint("change IN ('set', 'removed')", name="ck_organisation_secret_changes_change"),
    )
    op.create_index(
        "ix_organisation_secret_changes_organisation_id",
        "organisation_secret_changes",
        ["organisation_id", "at", "id"],
    )


def downgrade() -> None:
    op.drop_table("organisation_secret_changes")
    op.drop_table("organisation_secrets")
