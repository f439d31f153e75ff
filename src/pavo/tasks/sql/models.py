"""Tables of tasks, their documents, the feedback on them, and the lease under which steps are recorded."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.sql import Base
from pavo.runs.fenced_row import FencedRow


class TaskRow(FencedRow, Base):
    """What people read of a task. Stages are written by the workflow's activities, under the fence.

    For a workflow that is gone, stop and the reconciler write them, as its next transition. Creation, the run id of a
    command's answer and deletion are written beside it.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_list", "organisation_id", "created_at", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_tasks_user", "created_by", "created_at"),
        Index("ix_tasks_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_tasks_stage", "stage", "updated_at", postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[uuid.UUID | None] = mapped_column()
    """The task that delegated it; None: somebody created it."""
    title: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    agent_type: Mapped[str] = mapped_column(Text)
    agent_options: Mapped[dict[str, Any]] = mapped_column(JSONB)
    step_seconds: Mapped[float | None] = mapped_column(Double)
    """How long a step may take; None: as long as its agent allows."""
    edits: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often what the agent is asked was changed since the first start: what it does from then on is other work."""
    auto_accept: Mapped[bool] = mapped_column(server_default=text("false"))
    """The first plan is accepted by policy, nobody reviews it."""
    stage: Mapped[str] = mapped_column(Text)
    phase: Mapped[str] = mapped_column(Text)
    """Where a resumed run goes on: planning, revising, review or executing."""
    workflow_id: Mapped[str] = mapped_column(Text, unique=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Cause and remedy of FAILED."""
    receipt: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the last stop answered."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ExecutionRow(Base):
    """The lease under which steps are recorded, and the agent's state after the last one."""

    __tablename__ = "executions"
    __table_args__ = (
        Index("ix_executions_waiting", "task_id", postgresql_where=text("waiting IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Raised by each new attempt; whoever holds an older one can record nothing."""
    holder: Mapped[str | None] = mapped_column(Text)
    """The process that works under this epoch; None when the last attempt ended in order."""
    step: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many steps are recorded."""
    opened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When the attempt began that is under way; None: none is. A trigger writes this and the next, for usage."""
    opened_step: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many steps were recorded then."""
    progress: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    total: Mapped[int | None] = mapped_column(Integer)
    plan_step: Mapped[int | None] = mapped_column(Integer)
    """Number of the plan's step that the last checkpoint was about which said so."""
    checkpoint: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    deaths: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often the agent ended its process in the step after `step`; while planning: at that."""
    ends: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often a worker was ended from inside with the task in it, each within ten minutes of the one before."""
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When that was last."""
    alone_in: Mapped[str | None] = mapped_column(Text)
    """The process in which nothing else runs inside of the worker meanwhile, as `worker` names it."""
    stop_hint: Mapped[bool] = mapped_column(server_default=text("false"))
    """Somebody wants to stop: read by every step's commit. Only a hint; the workflow decides."""
    asked_to_move: Mapped[int | None] = mapped_column(BigInteger)
    """The attempt that the workflow asked to end at its next step boundary, by the number of its write that shows DONE.
    """
    begun_at: Mapped[str | None] = mapped_column(Text)
    """Fingerprint of the checkpoint at which `beginnings` are counted."""
    beginnings: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often the agent began there again after an end of its own: an error, or its process's death."""
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Type, cause and remedy of the agent's last failure, until the workflow decides to show it."""
    retry_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When the agent that failed is tried again. It holds for this `retry_epoch` alone: any attempt after it raises the
    epoch, also one of a build that does not know this column."""
    retry_epoch: Mapped[int | None] = mapped_column(BigInteger)
    worker: Mapped[str | None] = mapped_column(Text)
    """The process that took the last attempt, planning included: how it ended may tell of the agent."""
    code: Mapped[str | None] = mapped_column(Text)
    """What the last attempt ran: the agent's distribution with its version, and the protocol of agents' processes."""
    waiting: Mapped[str | None] = mapped_column(Text)
    """What the task waits for before an agent works on it, for people: "a worker with agent 'x'"; None: nothing."""


class DocumentRow(Base):
    """A version of a task's plan, or its report."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("task_id", "kind", "version"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    """PLAN or REPORT."""
    version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(Text)
    """DRAFT (not to be seen yet), REVIEW, ACCEPTED, LOCKED (superseded), FINAL (a report)."""
    hash: Mapped[str] = mapped_column(Text)
    """SHA-256 of kind, version and content."""
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """A plan: {"summary", "steps": [{"title", "detail"}]}; a report: {"body"}."""
    body: Mapped[str] = mapped_column(Text)
    """The same as Markdown."""
    accepted_by: Mapped[str | None] = mapped_column(Text)
    """The address of who accepted it then, or the policy that did."""
    accepted_by_id: Mapped[uuid.UUID | None] = mapped_column()
    """The user; None for a policy, a signal, and what was accepted before this was kept."""
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class FeedbackRow(Base):
    """A reviewer's comment on a plan."""

    __tablename__ = "feedback"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    author_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    step: Mapped[int | None] = mapped_column(Integer)
    """Number of the plan's step that is meant; None: the whole plan."""
    body: Mapped[str] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    """What the agent did about it; None until a revision addressed it."""
    answered_in: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("documents.id", ondelete="SET NULL"), index=True)
    """The version that answers it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class MessageRow(Base):
    """What somebody said to a task, wherever it was put."""

    __tablename__ = "messages"
    __table_args__ = (Index("ix_messages_task", "task_id", "seq"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """That of the comment too, where it became one."""
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    seq: Mapped[int | None] = mapped_column(BigInteger)
    """Number of its event in the timeline, by which agents read it; None where it was put into prompt or review."""
    author_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    placed: Mapped[str] = mapped_column(Text)
    """prompt, feedback, message or follow_up."""
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class DelegationRow(Base):
    """A task that another one delegated, as that one waits for it."""

    __tablename__ = "delegations"
    __table_args__ = (UniqueConstraint("parent_id", "scope", "identity"),)

    child_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """Made of the three below: a delegation that is made again finds its task."""
    parent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    scope: Mapped[str] = mapped_column(Text)
    """Within the parent: the version of the plan that it executes."""
    identity: Mapped[str] = mapped_column(Text)
    """What its agent calls it, or where it stands."""
    hash: Mapped[str] = mapped_column(Text)
    """Of what was delegated: the same identity with another one is refused."""
    root_id: Mapped[uuid.UUID] = mapped_column(index=True)
    """The task at the top, which somebody created."""
    depth: Mapped[int] = mapped_column(Integer)
    """How far below that."""
    begun: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Generation of the newest run that was begun on the parent's behalf."""
    paused: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Generation of the newest run that ended because the parent's did: it is begun again with that. A child that is
    stopped in a later one was stopped by a person."""
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the parent's agent was told: stage, report, cause and remedy. It stays so, whatever becomes of the child."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class FollowUpRow(Base):
    """Somebody said something to a task that was done: it goes on, in a generation of its own."""

    __tablename__ = "follow_ups"
    __table_args__ = (Index("ix_follow_ups_pending", "task_id", unique=True, postgresql_where=text("begun IS NULL")),)

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Number of the event of the first message; what is said from then on belongs to it."""
    plan_id: Mapped[uuid.UUID] = mapped_column()
    """The plan that had been worked off,"""
    report_id: Mapped[uuid.UUID] = mapped_column()
    """and the report that the message is about."""
    begun: Mapped[int | None] = mapped_column(Integer)
    """The generation that works on it; None: the task is still DONE, and no run has taken it yet."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


class TaskLogRow(Base):
    """Some of what a task's agent printed."""

    __tablename__ = "task_logs"
    __table_args__ = (Index("ix_task_logs_task", "task_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    body: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(Integer)
    after_gap: Mapped[bool] = mapped_column(server_default=text("false"))
    """Older output was removed before this."""


class RemovalRow(Base):
    """A deleted task of which something is left to remove; a trigger on `tasks.deleted_at` adds it."""

    __tablename__ = "removals"

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    """When the task was deleted."""
