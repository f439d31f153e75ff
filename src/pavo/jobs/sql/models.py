"""Tables of the jobs slice: repositories, remote agents, queues, jobs and what is kept of their attempts."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.jobs.sql import IN_PROGRESS
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)
_EMPTY_LIST = text("'[]'")
_TURN = text("(kind <> 'rework')")
_EMPTY_OBJECT = text("'{}'")
_IN_PROGRESS = text(f"stage IN {IN_PROGRESS}")


class RepositoryRow(Base):
    """Where an organisation's jobs work."""

    __tablename__ = "repositories"
    __table_args__ = (
        Index(
            "uq_repositories_organisation_id_name",
            "organisation_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        CheckConstraint("forge IN ('github', 'gitlab', 'gitea', '')", name="forge"),
        CheckConstraint("reviewers IN ('members', 'anyone', 'nobody')", name="reviewers"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    clone_url: Mapped[str] = mapped_column(Text)
    """http(s) alone, without credentials in it."""
    default_branch: Mapped[str] = mapped_column(Text, server_default="main")
    forge: Mapped[str] = mapped_column(Text, server_default="")
    """Whose pull requests are opened; empty: branches are pushed, and nothing more."""
    forge_url: Mapped[str] = mapped_column(Text, server_default="")
    """Base of its API; empty: as the clone URL's host has it."""
    credential: Mapped[str | None] = mapped_column(Text)
    """Name of the organisation's secret that git and forge are shown; None: none is needed."""
    username: Mapped[str] = mapped_column(Text, server_default="x-access-token")
    """That goes with it, for git."""
    prepare: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=_EMPTY_LIST)
    """Commands in order: name, command, timeout_seconds."""
    verify: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=_EMPTY_LIST)
    verify_rounds: Mapped[int] = mapped_column(server_default=text("2"))
    """So often a failed verification goes back to the agent."""
    review_plan: Mapped[bool] = mapped_column(server_default=text("false"))
    draft: Mapped[bool] = mapped_column(server_default=text("false"))
    reviewers: Mapped[str] = mapped_column(Text, server_default="members")
    """Whose comments on a pull request have its job go on; `anyone` holds where the forge says that it is private."""
    author_name: Mapped[str] = mapped_column(Text, server_default="Pavo")
    """Whose commits agents make there."""
    author_email: Mapped[str] = mapped_column(Text, server_default="pavo@localhost")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    deleted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """It takes no more jobs; those that it had go on showing it."""


class RemoteAgentRow(Base):
    """A program on another machine that does jobs."""

    __tablename__ = "remote_agents"
    __table_args__ = (
        UniqueConstraint("organisation_id", "name", postgresql_nulls_not_distinct=True),
        Index("ix_remote_agents_online", "organisation_id", postgresql_where=text("online AND NOT draining")),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    """None: the operator's, which serves every organisation."""
    name: Mapped[str] = mapped_column(Text)
    labels: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    programs: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    """Profiles that can run there."""
    capacity: Mapped[int] = mapped_column(server_default=text("1"))
    version: Mapped[str] = mapped_column(Text, server_default="")
    sandbox: Mapped[str] = mapped_column(Text, server_default="")
    online: Mapped[bool] = mapped_column(server_default=text("false"))
    draining: Mapped[bool] = mapped_column(server_default=text("false"))
    drain_asked: Mapped[bool] = mapped_column(server_default=text("false"))
    """Somebody told it to finish and take nothing new."""
    rests_until: Mapped[datetime | None] = mapped_column(_MOMENT)
    rests_for: Mapped[str] = mapped_column(Text, server_default="")
    """Why it could not do a job that it was given: until then it gets none."""
    session: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Grows with each session; what an older one says changes nothing."""
    gateway: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    """The gateway that holds its stream; None: none does."""
    queue: Mapped[str | None] = mapped_column(Text)
    """The task queue on which its commands are taken; None while it has no stream."""
    machine_id: Mapped[str] = mapped_column(Text, server_default="")
    boot_id: Mapped[str] = mapped_column(Text, server_default="")
    failed_pings: Mapped[int] = mapped_column(server_default=text("0"))
    """In a row."""
    last_ping: Mapped[str] = mapped_column(Text, server_default="")
    """Key of the ping that was recorded last: it counts once."""
    scheduled: Mapped[bool] = mapped_column(server_default=text("false"))
    """A schedule of its own has it pinged; else its gateway's rounds do."""
    claims: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """How many jobs it was given: what a claim counted before is true as long as this has not changed."""
    connected_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    seen_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class AgentTokenRow(Base):
    """What opens a session for the agents of an organisation, or for one of them."""

    __tablename__ = "agent_tokens"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), index=True
    )
    """None: the operator's."""
    agent: Mapped[str | None] = mapped_column(Text)
    """The only name that it opens a session for; None: any."""
    name: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text, unique=True)
    prefix: Mapped[str] = mapped_column(Text)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    expires_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    revoked_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    used_at: Mapped[datetime | None] = mapped_column(_MOMENT)


class JobQueueRow(Base):
    """An organisation's queue. Whoever claims holds its row, so that one at a time is one at a time."""

    __tablename__ = "job_queues"
    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.id, ondelete="CASCADE"), primary_key=True
    )
    paused_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    paused_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    at_once: Mapped[int] = mapped_column(server_default=text("1"))
    """Jobs that are done at the same time."""
    served_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    """When a job of it was claimed last."""
    turn: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Grows with each claim, and keeps up (`claims.BEHIND`): shared agents go to the lowest, and who waits longest."""
    claims: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """How many jobs of it were claimed: what a claim counted before is true as long as this has not changed."""


class JobRow(Base):
    """A coding job. Its events are the timeline of the same id."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("kind IN ('backlog', 'rework')", name="kind"),
        CheckConstraint(
            "stage IN ('QUEUED', 'CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING', 'DONE', "
            "'FAILED', 'CANCELLED')",
            name="stage",
        ),
        Index("ix_jobs_queued", "organisation_id", _TURN, "rank", "id", postgresql_where=text("stage = 'QUEUED'")),
        Index(
            "ix_jobs_wanted",
            "organisation_id",
            "program",
            "labels",
            _TURN,
            "rank",
            "id",
            postgresql_where=text("stage = 'QUEUED' AND deleted_at IS NULL"),
        ),
        Index("ix_jobs_in_progress", "organisation_id", "agent_id", postgresql_where=_IN_PROGRESS),
        Index("ix_jobs_of_agent", "agent_id", postgresql_where=_IN_PROGRESS),
        Index("ix_jobs_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL AND removed_at IS NULL")),
        Index("ix_jobs_failed", "organisation_id", postgresql_where=text("stage = 'FAILED' AND deleted_at IS NULL")),
        Index("ix_jobs_log", "ended_at", postgresql_where=text("log_removed_at IS NULL")),
        Index("ix_jobs_organisation", "organisation_id", "created_at", "id"),
        Index(
            "ix_jobs_pull_request",
            "pull_request_look_at",
            postgresql_where=text(
                "stage IN ('DONE', 'FAILED', 'CANCELLED') AND (pull_request_state = 'open' "
                "OR (pull_request_state = 'closed' AND pull_request_look_at IS NOT NULL))"
            ),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    repository_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(RepositoryRow.id))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    base_branch: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text, server_default="backlog")
    priority: Mapped[int] = mapped_column(server_default=text("50"))
    rank: Mapped[float] = mapped_column(Double)
    """The place in the queue, lower is sooner; `domain.rank_of`, or between two others where somebody moved it."""
    labels: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    """Which its agent must have, all of them."""
    program: Mapped[str] = mapped_column(Text)
    """The profile of the coding program."""
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_EMPTY_OBJECT)
    review_plan: Mapped[bool] = mapped_column(server_default=text("false"))
    draft: Mapped[bool] = mapped_column(server_default=text("false"))
    max_attempts: Mapped[int] = mapped_column(server_default=text("3"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """How many were begun since it was queued by a person."""
    feedback: Mapped[str] = mapped_column(Text, server_default="")
    """Of the review that a rework answers."""
    adopts: Mapped[int | None] = mapped_column(BigInteger)
    """The lost attempt whose work the next one takes over instead of running the coding program; None: it runs."""
    stage: Mapped[str] = mapped_column(Text, server_default="QUEUED")
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Of the attempt that holds it, or held it last."""
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(RemoteAgentRow.id, ondelete="SET NULL"))
    """Whose attempt is under way, or was last."""
    lease_until: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Until then the attempt holds it; None: nobody does."""
    workflow_id: Mapped[str | None] = mapped_column("temporal_workflow_id", Text)
    run_id: Mapped[str | None] = mapped_column("temporal_run_id", Text)
    """Of the run that wrote last."""
    generation: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Of the write that came last: the epoch (`runs.fence`)."""
    transition: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    branch: Mapped[str] = mapped_column(Text)
    pull_request_url: Mapped[str | None] = mapped_column(Text)
    pull_request_number: Mapped[int | None] = mapped_column(BigInteger)
    pull_request_state: Mapped[str | None] = mapped_column(Text)
    """open, merged or closed, as the forge said last."""
    pull_request_look_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When its forge is asked about it next; None: now, where it is open and the job is done."""
    pull_request_reviews: Mapped[int] = mapped_column(server_default=text("0"))
    """How often comments there had the job go on."""
    comments_since: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When the newest comment was written that was taken, by the forge's clock."""
    comments_seen: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    """Those that were taken, the newest last: none is taken twice."""
    forge_tags: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_EMPTY_OBJECT)
    """What the answers were marked by from which they were taken (ETags)."""
    commit: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    """published, pushed or no_changes; None: not over, or not done."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """type, cause, remedy."""
    cancel_asked_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    cancel_asked_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(UserRow.id, ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    queued_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    claimed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    heard_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    """When a log line, a stage or a result came last; a renewed lease is none of these."""
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    deleted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """Somebody removed it: the row stays, without content."""
    removed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When all that it held was gone too."""
    log_removed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    """When its log was removed, because it had been kept for long enough."""


class JobAttemptRow(Base):
    """One attempt at a job: kept with its result, also where the attempt was lost and the result came late."""

    __tablename__ = "job_attempts"
    __table_args__ = (
        Index("ix_job_attempts_owed", "agent_id", postgresql_where=text("cleanup_owed")),
        CheckConstraint("late_work IN ('owed', 'kept', 'nothing', 'gone', 'declined')", name="late_work"),
    )
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(RemoteAgentRow.id, ondelete="SET NULL"))
    agent: Mapped[str] = mapped_column(Text)
    """Its name then."""
    begun_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    ended: Mapped[str | None] = mapped_column(Text)
    """done, failed, cancelled or lost."""
    reason: Mapped[str] = mapped_column(Text, server_default="")
    branch: Mapped[str | None] = mapped_column(Text)
    """Where its commits were pushed to."""
    commit: Mapped[str | None] = mapped_column(Text)
    adopted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    cleanup_owed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Its agent could not be reached when it ended: paid at its next Hello."""
    told_session: Mapped[int | None] = mapped_column(BigInteger)
    """The agent's session in which it was told last what it owes of this: not again in that one."""
    finished: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether its coding program came to its end, in time or late."""
    late_work: Mapped[str | None] = mapped_column(Text)
    """Of a lost attempt, as `late.domain` has it; None: nobody asks for any."""
    late_reason: Mapped[str] = mapped_column(Text, server_default="")
    """Why it was not pushed yet, or is gone."""


class JobCommandRow(Base):
    """A command to a remote agent, and its result. A command is never carried out twice."""

    __tablename__ = "job_commands"
    __table_args__ = (Index("ix_job_commands_job", "job_id", "epoch"),)

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    """Deterministic: of job, epoch, kind and round."""
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"))
    epoch: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    round: Mapped[int] = mapped_column(server_default=text("0"))
    request: Mapped[bytes] = mapped_column(LargeBinary)
    """The message that was sent, `pavo.fleet.v1.Command`; holds no secret."""
    sent_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    accepted_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    ended_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    result: Mapped[bytes | None] = mapped_column(LargeBinary)
    """`pavo.fleet.v1.Result`."""
    late: Mapped[bool] = mapped_column(server_default=text("false"))
    """It came when its epoch was no longer the job's."""


class JobModelTokenRow(Base):
    """A token of the model gateway that an attempt's agent was given for its coding program."""

    __tablename__ = "job_model_tokens"
    __table_args__ = (
        Index("ix_job_model_tokens_job_id", "job_id"),
        Index("ix_job_model_tokens_agent_token_id", "agent_token_id"),
    )

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256."""
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"))
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of the attempt: it is good for no other."""
    agent_token_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(AgentTokenRow.id, ondelete="CASCADE"))
    """By which the agent asked for it: once that is revoked, this one is."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())
    expires_at: Mapped[datetime] = mapped_column(_MOMENT)


class JobLogRow(Base):
    """A line of a job's log. Its place is (epoch, seq)."""

    __tablename__ = "job_logs"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(_MOMENT)
    """By the agent's clock."""
    stage: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    event: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What was parsed of it."""
    gap: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """So many lines before it were dropped at the agent."""
    text: Mapped[str] = mapped_column(Text)
