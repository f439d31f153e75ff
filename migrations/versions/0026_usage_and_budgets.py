"""What models' calls use, and budgets"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def _organisation() -> sa.Column[object]:
    return sa.Column(
        "organisation_id", sa.Uuid(), sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False
    )


def _user(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True)


def _task(*, nullable: bool = False, primary_key: bool = False) -> sa.Column[object]:
    place = sa.ForeignKey("timelines.id", ondelete="CASCADE")
    return sa.Column("task_id", sa.Uuid(), place, nullable=nullable, primary_key=primary_key)


def upgrade() -> None:
    _calls()
    _budgets()
    op.create_table(
        "budget_reservations",
        sa.Column("call_id", sa.Uuid(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        _organisation(),
        _task(),
        _user("user_id"),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_index("ix_budget_reservations_organisation_id", "budget_reservations", ["organisation_id"])
    op.create_index("ix_budget_reservations_task_id", "budget_reservations", ["task_id"])
    op.create_table(
        "budget_asks",
        sa.Column("budget_id", sa.Uuid(), sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
        _task(primary_key=True),
        sa.Column("answered", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.create_index("ix_budget_asks_task_id", "budget_asks", ["task_id"])


def _calls() -> None:
    op.create_table(
        "usage_calls",
        sa.Column("call_id", sa.Uuid(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        _organisation(),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        _user("user_id"),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("tokens_cached", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.CheckConstraint("state IN ('settled', 'lost')", name="ck_usage_calls_state"),
    )
    op.create_index("ix_usage_calls_organisation_id", "usage_calls", ["organisation_id", "at"])
    op.create_index("ix_usage_calls_task_id", "usage_calls", ["task_id"])


def _budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _organisation(),
        _task(nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("max_cost", sa.BigInteger(), nullable=True),
        sa.Column("max_tokens", sa.BigInteger(), nullable=True),
        sa.Column("unpriced_allowed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("began", _MOMENT, nullable=False),
        sa.Column("used_cost", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("used_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        _user("set_by"),
        sa.Column("set_at", _MOMENT, server_default=sa.text("pavo_now()"), nullable=False),
        sa.CheckConstraint("period IN ('day', 'month', 'life')", name="ck_budgets_period"),
        sa.CheckConstraint("max_cost IS NOT NULL OR max_tokens IS NOT NULL", name="ck_budgets_limit"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "uq_budgets_of_organisation",
        "budgets",
        ["organisation_id", "period"],
        unique=True,
        postgresql_where=sa.text("task_id IS NULL"),
    )
    op.create_index(
        "uq_budgets_of_task",
        "budgets",
        ["task_id", "period"],
        unique=True,
        postgresql_where=sa.text("task_id IS NOT NULL"),
    )
    op.create_index("ix_budgets_organisation_id", "budgets", ["organisation_id", "task_id"])


def downgrade() -> None:
    for table in ("budget_asks", "budget_reservations", "budgets", "usage_calls"):
        op.drop_table(table)
