"""Flows: versions, runs, results and decisions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_MOMENT = sa.DateTime(timezone=True)
_NOW = sa.text("pavo_now()")


def upgrade() -> None:
    _versions()
    _releases()
    _runs()
    _results()
    op.create_table(
        "flow_decisions",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("value", _JSON, nullable=False),
        sa.Column("at", _MOMENT, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["flow_runs.id"], name=op.f("fk_flow_decisions_run_id_flow_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_flow_decisions")),
    )


def _versions() -> None:
    op.create_table(
        "flow_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=True),
        sa.Column("published_at", _MOMENT, nullable=True),
        sa.Column("deprecated_at", _MOMENT, nullable=True),
        sa.Column("deprecated_reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_flow_versions_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["published_by"], ["users.id"], name=op.f("fk_flow_versions_published_by_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_versions")),
        sa.UniqueConstraint("organisation_id", "hash", name=op.f("uq_flow_versions_organisation_id")),
    )
    op.create_index("uq_flow_versions_number", "flow_versions", ["organisation_id", "name", "number"], unique=True)


def _releases() -> None:
    op.create_table(
        "flow_releases",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rolled_back", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("at", _MOMENT, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_flow_releases_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["by"], ["users.id"], name=op.f("fk_flow_releases_by_users"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("organisation_id", "name", "place", name=op.f("pk_flow_releases")),
    )


def _runs() -> None:
    op.create_table(
        "flow_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("wake_at", _MOMENT, nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed_seq", sa.BigInteger(), nullable=True),
        sa.Column("inputs", _JSON, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("fallback", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("ends_by", _MOMENT, nullable=False),
        sa.Column("cancel_asked_at", _MOMENT, nullable=True),
        sa.Column("cancel_compensates", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("result", _JSON, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("deleted_at", _MOMENT, nullable=True),
        sa.Column("removed_at", _MOMENT, nullable=True),
        sa.CheckConstraint("engine IN ('temporal', 'local')", name=op.f("ck_flow_runs_engine")),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'handing_over', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_flow_runs_state"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "hash"],
            ["flow_versions.organisation_id", "flow_versions.hash"],
            name="fk_flow_runs_version_flow_versions",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_flow_runs_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_flow_runs_created_by_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_runs")),
    )
    op.create_index(
        "ix_flow_runs_open",
        "flow_runs",
        ["engine", "wake_at", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'running', 'handing_over')"),
    )
    op.create_index("ix_flow_runs_organisation", "flow_runs", ["organisation_id", "id"], unique=False)
    op.create_index(
        "ix_flow_runs_deleted",
        "flow_runs",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL AND removed_at IS NULL"),
    )


def _results() -> None:
    op.create_table(
        "flow_results",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("item", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("undoes", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=True),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.Column("began_seq", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("output", _JSON, nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("begun_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'timer', 'retrying', 'unknown', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_flow_results_state"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["flow_runs.id"], name=op.f("fk_flow_results_run_id_flow_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "step", "item", "undoes", name=op.f("pk_flow_results")),
    )
    is_open = sa.text("seq IS NULL")
    op.create_index("ix_flow_results_open", "flow_results", ["run_id"], unique=False, postgresql_where=is_open)
    op.create_index("ix_flow_results_run_id_began_seq", "flow_results", ["run_id", "began_seq"], unique=False)
    op.create_index("ix_flow_results_run_id_seq", "flow_results", ["run_id", "seq"], unique=False)


def downgrade() -> None:
    for table in ("flow_decisions", "flow_results", "flow_runs", "flow_releases", "flow_versions"):
        op.drop_table(table)
