"""Tables of flows: versions, runs, and what is kept of their steps."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)
_OPEN = text("state IN ('waiting', 'running', 'handing_over')")


class FlowVersionRow(Base):
    """A flow as it is declared; what it says never changes."""

    __tablename__ = "flow_versions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "hash"),
        Index("uq_flow_versions_number", "organisation_id", "name", "number", unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    number: Mapped[int | None]
    """Counts the published versions of a name; None: it was run from a file, and nobody published it."""
    hash: Mapped[str] = mapped_column(Text)
    definition: Mapped[str] = mapped_column(Text)
    """JSON, as text: jsonb would lose the order of its steps."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    published_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    published_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    deprecated_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    deprecated_reason: Mapped[str] = mapped_column(Text, server_default="")


class FlowReleaseRow(Base):
    """A version was made the current one of its name; the one with the greatest place is."""

    __tablename__ = "flow_releases"

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, in order."""
    number: Mapped[int]
    rolled_back: Mapped[bool]
    """Somebody went back, or on, to a version that was there; else it was published."""
    reason: Mapped[str] = mapped_column(Text, server_default="")
    by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class FlowRunRow(Base):
    """A run. Whoever writes of it locks this row."""

    __tablename__ = "flow_runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation_id", "hash"],
            [FlowVersionRow.organisation_id, FlowVersionRow.hash],
            name="fk_flow_runs_version_flow_versions",
        ),
        CheckConstraint("engine IN ('temporal', 'local')", name="engine"),
        CheckConstraint(
            "state IN ('waiting', 'running', 'handing_over', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        Index("ix_flow_runs_open", "engine", "wake_at", "id", postgresql_where=_OPEN),
        Index("ix_flow_runs_organisation", "organisation_id", "id"),
        Index("ix_flow_runs_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index(
            "ix_flow_runs_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL AND removed_at IS NULL")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    flow: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
    """Of the version that it executes to its end."""
    engine: Mapped[str] = mapped_column(Text)
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Grows with each claim of a local engine and each change of engine; what an older one writes is refused."""
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Counts what was written of it."""
    holder: Mapped[str | None] = mapped_column(Text)
    """The local engine, or the run of a Temporal workflow, that executes it."""
    lease_until: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Until then nobody else claims it; None: nobody holds it, or Temporal does."""
    wake_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Before that there is nothing to do; infinity: until somebody says something; None: there is."""
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """Of its execution, one after the other, for reasons that nobody foresaw."""
    failed_seq: Mapped[int | None] = mapped_column(BigInteger)
    """What was written of it by the last of them; where more is, it counts anew."""
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    program: Mapped[str | None] = mapped_column(Text)
    """The program that alone executes it, for it has the functions; None: the workers do."""
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("flow_runs.id", ondelete="SET NULL"))
    """The run of which it is a step."""
    parent_step: Mapped[str | None] = mapped_column(Text)
    parent_item: Mapped[int | None]
    """None: the step as a whole."""
    depth: Mapped[int] = mapped_column(server_default=text("0"))
    """So many runs are above it."""
    fallback: Mapped[bool] = mapped_column(server_default=text("false"))
    """It began on the local engine because Temporal was away."""
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    ends_by: Mapped[datetime] = mapped_column(_MOMENT)
    """By the limit of its flow; then it is cancelled."""
    cancel_asked_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    cancel_compensates: Mapped[bool] = mapped_column(server_default=text("false"))
    paused_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Since then nothing begins, unless it is cancelled."""
    paused_reason: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    result: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Somebody removed it: what it held goes, and the row stays for those who ask by an old request."""
    removed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Since then nothing of it is left but this row."""


class FlowResultRow(Base):
    """A step that has begun, or an item of one, or what undoes it."""

    __tablename__ = "flow_results"
    __table_args__ = (
        CheckConstraint(
            "state IN ('running', 'timer', 'retrying', 'unknown', 'succeeded', 'failed', 'cancelled', 'skipped',"
            " 'awaiting')",
            name="state",
        ),
        Index("ix_flow_results_work", "run_id", postgresql_where=text("work_id IS NOT NULL AND NOT is_left")),
        Index("ix_flow_results_open", "run_id", postgresql_where=text("seq IS NULL")),
        Index("ix_flow_results_run_id_began_seq", "run_id", "began_seq"),
        Index("ix_flow_results_run_id_seq", "run_id", "seq"),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(FlowRunRow.id, ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(Text, primary_key=True)
    item: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """-1: of the step as a whole."""
    undoes: Mapped[bool] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    """`unknown`: people are asked whether it happened, until `seq` is set: then the run was cancelled without it."""
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of whoever has begun this attempt."""
    work_kind: Mapped[str | None] = mapped_column(Text)
    """Of what it has others do: task, job."""
    work_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    is_left: Mapped[bool] = mapped_column(server_default=text("true"))
    """Nobody needs to look at that work any more: it is over, or was told to end."""
    taken_by: Mapped[str | None] = mapped_column(Text)
    """The call of an activity that makes this attempt; only what may be repeated is made by another one as well."""
    repeatable: Mapped[bool]
    """Whether it may be done again where it was interrupted, with the same key."""
    began_seq: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int | None] = mapped_column(BigInteger)
    """When it ended, among all that was written of the run; None: it has not."""
    due_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Of a timer, and of the next attempt."""
    output: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    reference: Mapped[str | None] = mapped_column(Text)
    """Where an output is that is too large to be kept here."""
    error: Mapped[str | None] = mapped_column(Text)
    begun_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)


class FlowDecisionRow(Base):
    """What was decided in a run, and what people said."""

    __tablename__ = "flow_decisions"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(FlowRunRow.id, ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    what: Mapped[str] = mapped_column(Text)
    """`skipped`, `decided`, `cancel` or `answered`."""
    step: Mapped[str] = mapped_column(Text, server_default="")
    value: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
