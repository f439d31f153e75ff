"""Tables of the usage slice."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Double, ForeignKey, Index, Integer, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class UsageCallRow(Base):
    """What a call of a model took. Of a deleted task the row stays, without the task: its organisation has paid."""

    __tablename__ = "usage_calls"
    __table_args__ = (
        CheckConstraint("state IN ('settled', 'lost')", name="state"),
        Index("ix_usage_calls_organisation_id", "organisation_id", "at"),
        Index("ix_usage_calls_task_id", "task_id"),
        Index(
            *("ix_usage_calls_ancestors", "ancestors"),
            postgresql_using="gin",
            postgresql_where=text("ancestors <> '{}'"),
        ),
    )

    call_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Of the attempt that made it: one that was made again after a crash has a row for each."""
    state: Mapped[str] = mapped_column(Text)
    """lost: a crash cut it, and nobody knows what it took; it counts by its estimate."""
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    agent: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    tokens_cached: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    """In nanos; None: the price is not known."""
    seconds: Mapped[float] = mapped_column(Double)
    at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    ancestors: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """The tasks that the task worked for, which delegated it: it counts against their budgets too. It stays where the
    task is deleted, for they have paid as well."""


class UsageAttemptRow(Base):
    """What an attempt took, written by a trigger where it ends; append-only. Of a deleted task the row stays, without
    the task, and so do, a row a day, the numbers of its calls of tools."""

    __tablename__ = "usage_attempts"
    __table_args__ = (
        Index("ix_usage_attempts_organisation_id", "organisation_id", "at"),
        Index("ix_usage_attempts_task_id", "task_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    agent: Mapped[str] = mapped_column(Text)
    steps: Mapped[int] = mapped_column(BigInteger)
    """Checkpoints that it recorded."""
    tools: Mapped[int] = mapped_column(BigInteger)
    """Calls of tools, of a task that is deleted: others are counted where they are."""
    seconds: Mapped[float] = mapped_column(Double)
    """From its beginning to its end; of one that was cut, to the last thing that its task recorded."""
    at: Mapped[datetime] = mapped_column(_MOMENT)
    """When it ended."""


class BudgetRow(Base):
    """A budget of an organisation, or of one of its tasks and of what that delegates; locked for each reservation and
    settlement."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("period IN ('day', 'month', 'life')", name="period"),
        CheckConstraint("max_cost IS NOT NULL OR max_tokens IS NOT NULL", name="limit"),
        Index(
            *("uq_budgets_of_organisation", "organisation_id", "period"),
            unique=True,
            postgresql_where=text("task_id IS NULL"),
        ),
        Index("uq_budgets_of_task", "task_id", "period", unique=True, postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_budgets_organisation_id", "organisation_id", "task_id"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """None: all tasks of the organisation together."""
    period: Mapped[str] = mapped_column(Text)
    max_cost: Mapped[int | None] = mapped_column(BigInteger)
    """In nanos."""
    max_tokens: Mapped[int | None] = mapped_column(BigInteger)
    unpriced_allowed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether calls whose price is not known count nothing."""
    began: Mapped[datetime] = mapped_column(_MOMENT)
    """The period that is counted below."""
    used_cost: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    used_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    """Who set the limit, or raised it by an answer."""
    set_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class ReservationRow(Base):
    """A call that is under way: the most that it is expected to take."""

    __tablename__ = "budget_reservations"
    __table_args__ = (
        Index("ix_budget_reservations_organisation_id", "organisation_id"),
        Index("ix_budget_reservations_task_id", "task_id"),
    )

    call_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of the attempt that makes it; one of an older epoch than its task's is of a call that was cut."""
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    agent: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(_MOMENT)
    ancestors: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """As of a call that is counted."""


class BudgetAskRow(Base):
    """How often people have answered a task's question about a budget: each answer counts once."""

    __tablename__ = "budget_asks"

    budget_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("timelines.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    answered: Mapped[int] = mapped_column(Integer, server_default=text("0"))
