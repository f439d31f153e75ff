"""Coding jobs: repositories, remote agents, queues, jobs, attempts, commands, logs, changes

Triggers write the changes of jobs and queues down, whatever moves them. `job_changes` has no foreign key: a job's
transition waits for no lock on its organisation. `job_log_additions` says which lines one statement stored.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_CHANGE = """
INSERT INTO job_changes (organisation_id, xid, at, job_id, data)
VALUES (NEW.organisation_id, pg_current_xact_id()::text::bigint, pavo_now(), %s, jsonb_build_object(%s));
RETURN NULL;
"""
_JOB_CHANGED = f"""
CREATE FUNCTION job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {
    _CHANGE
    % (
        "NEW.id",
        "'stage', NEW.stage, 'kind', NEW.kind, 'priority', NEW.priority, 'epoch', NEW.epoch,"
        " 'agent_id', NEW.agent_id, 'deleted', NEW.deleted_at IS NOT NULL",
    )
}
END $$
"""
_QUEUE_CHANGED = f"""
CREATE FUNCTION job_queue_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_CHANGE % ("NULL", "'paused', NEW.paused_at IS NOT NULL, 'at_once', NEW.at_once")}
END $$
"""
# With an organisation its jobs go; what belongs to their timelines has no other way to them.
_JOB_REMOVED = """
CREATE FUNCTION job_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM timelines t USING gone WHERE t.id = gone.id;
    DELETE FROM job_changes c WHERE c.organisation_id IN (SELECT organisation_id FROM gone);
    DELETE FROM job_log_additions l WHERE l.organisation_id IN (SELECT organisation_id FROM gone);
    RETURN NULL;
END $$
"""
# As those of tasks do (0010): ids and names of stages, nothing that people or agents wrote.
_JOB_TOLD = """
CREATE FUNCTION job_told(p_job jobs, p_previous text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'organisation_id', p_job.organisation_id, 'job_id', p_job.id, 'repository_id', p_job.repository_id,
        'created_by', p_job.created_by, 'program', p_job.program, 'kind', p_job.kind, 'epoch', p_job.epoch,
        'outcome', p_job.outcome, 'stage', p_job.stage, 'previous_stage', p_previous
    )
$$
"""
_JOB_WEBHOOKS = """
CREATE FUNCTION jobs_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_data jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM webhooks w WHERE w.organisation_id = NEW.organisation_id AND w.enabled) THEN
        RETURN NULL;
    END IF;
    v_data := job_told(NEW, OLD.stage);
    IF NEW.deleted_at IS NOT NULL THEN
        PERFORM webhook_enqueue(NEW.organisation_id, 'job.deleted', NEW.id, v_data);
        RETURN NULL;
    END IF;
    PERFORM webhook_enqueue(NEW.organisation_id, 'job.stage_changed', NEW.id, v_data);
    IF NEW.stage IN ('QUEUED', 'DONE', 'FAILED', 'CANCELLED') THEN
        PERFORM webhook_enqueue(NEW.organisation_id, 'job.' || lower(NEW.stage), NEW.id, v_data);
    END IF;
    RETURN NULL;
END $$
"""
_TELLING = """
CREATE TRIGGER jobs_webhooks_%s AFTER %s ON jobs FOR EACH ROW %s EXECUTE FUNCTION jobs_webhooks()
"""
_TOLD_OF = (
    ("added", "INSERT", ""),
    ("stage", "UPDATE OF stage", "WHEN (NEW.stage <> OLD.stage AND NEW.deleted_at IS NULL)"),
    ("deleted", "UPDATE OF deleted_at", "WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL)"),
)
# Ranks are spread without `updated_at`: the order stays.
_ON_JOBS = """
CREATE TRIGGER jobs_changed AFTER UPDATE ON jobs FOR EACH ROW WHEN (
    (NEW.stage, NEW.kind, NEW.priority, NEW.deleted_at) IS DISTINCT FROM
        (OLD.stage, OLD.kind, OLD.priority, OLD.deleted_at)
    OR (NEW.rank <> OLD.rank AND NEW.updated_at <> OLD.updated_at)
) EXECUTE FUNCTION job_changed()
"""
# Once for all of them: an organisation may have many.
_ON_REMOVAL = """
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION job_removed()
"""
_ON_QUEUES = """
CREATE TRIGGER job_queues_changed AFTER UPDATE OF paused_at, at_once ON job_queues FOR EACH ROW WHEN (
    (NEW.paused_at, NEW.at_once) IS DISTINCT FROM (OLD.paused_at, OLD.at_once)
) EXECUTE FUNCTION job_queue_changed()
"""


def upgrade() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("clone_url", sa.Text(), nullable=False),
        sa.Column("default_branch", sa.Text(), server_default="main", nullable=False),
        sa.Column("forge", sa.Text(), server_default="", nullable=False),
        sa.Column("forge_url", sa.Text(), server_default="", nullable=False),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), server_default="x-access-token", nullable=False),
        sa.Column("prepare", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("verify", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("verify_rounds", sa.Integer(), server_default=sa.text("2"), nullable=False),
        sa.Column("review_plan", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("draft", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reviewers", sa.Text(), server_default="members", nullable=False),
        sa.Column("author_name", sa.Text(), server_default="Pavo", nullable=False),
        sa.Column("author_email", sa.Text(), server_default="pavo@localhost", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("forge IN ('github', 'gitlab', 'gitea', '')", name=op.f("ck_repositories_forge")),
        sa.CheckConstraint("reviewers IN ('members', 'anyone', 'nobody')", name=op.f("ck_repositories_reviewers")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_repositories_created_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_repositories_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
    )
    op.create_index(
        "uq_repositories_organisation_id_name",
        "repositories",
        ["organisation_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "remote_agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("programs", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("capacity", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("sandbox", sa.Text(), server_default="", nullable=False),
        sa.Column("online", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("draining", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("drain_asked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rests_for", sa.Text(), server_default="", nullable=False),
        sa.Column("session", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("gateway", sa.Uuid(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("machine_id", sa.Text(), server_default="", nullable=False),
        sa.Column("boot_id", sa.Text(), server_default="", nullable=False),
        sa.Column("failed_pings", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_ping", sa.Text(), server_default="", nullable=False),
        sa.Column("scheduled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("claims", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_remote_agents_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_agents")),
        sa.UniqueConstraint(
            "organisation_id", "name", name=op.f("uq_remote_agents_organisation_id"), postgresql_nulls_not_distinct=True
        ),
    )
    op.create_index(
        "ix_remote_agents_online",
        "remote_agents",
        ["organisation_id"],
        unique=False,
        postgresql_where=sa.text("online AND NOT draining"),
    )
    op.create_table(
        "agent_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_agent_tokens_created_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_agent_tokens_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_agent_tokens_hash")),
    )
    op.create_index(op.f("ix_agent_tokens_organisation_id"), "agent_tokens", ["organisation_id"], unique=False)
    op.create_table(
        "job_queues",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_by", sa.Uuid(), nullable=True),
        sa.Column("at_once", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("claims", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_job_queues_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["paused_by"], ["users.id"], name=op.f("fk_job_queues_paused_by_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_job_queues")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("base_branch", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="backlog", nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("50"), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("review_plan", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("draft", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("feedback", sa.Text(), server_default="", nullable=False),
        sa.Column("adopts", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.Text(), server_default="QUEUED", nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("temporal_workflow_id", sa.Text(), nullable=True),
        sa.Column("temporal_run_id", sa.Text(), nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("transition", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("pull_request_url", sa.Text(), nullable=True),
        sa.Column("pull_request_number", sa.BigInteger(), nullable=True),
        sa.Column("pull_request_state", sa.Text(), nullable=True),
        sa.Column("pull_request_look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pull_request_reviews", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("comments_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("comments_seen", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "forge_tags", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("commit", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cancel_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_asked_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("log_removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('backlog', 'rework')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(
            "stage IN ('QUEUED', 'CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING', 'DONE', "
            "'FAILED', 'CANCELLED')",
            name=op.f("ck_jobs_stage"),
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["remote_agents.id"], name=op.f("fk_jobs_agent_id_remote_agents"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["cancel_asked_by"], ["users.id"], name=op.f("fk_jobs_cancel_asked_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_jobs_created_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_jobs_organisation_id_organisations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_jobs_repository_id_repositories")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_in_progress",
        "jobs",
        ["organisation_id", "agent_id"],
        unique=False,
        postgresql_where=sa.text(
            "stage IN ('CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING')"
        ),
    )
    op.create_index(
        "ix_jobs_of_agent",
        "jobs",
        ["agent_id"],
        unique=False,
        postgresql_where=sa.text(
            "stage IN ('CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING')"
        ),
    )
    op.create_index(
        "ix_jobs_deleted",
        "jobs",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL AND removed_at IS NULL"),
    )
    op.create_index(
        "ix_jobs_log", "jobs", ["ended_at"], unique=False, postgresql_where=sa.text("log_removed_at IS NULL")
    )
    op.create_index(
        "ix_jobs_failed",
        "jobs",
        ["organisation_id"],
        unique=False,
        postgresql_where=sa.text("stage = 'FAILED' AND deleted_at IS NULL"),
    )
    op.create_index("ix_jobs_organisation", "jobs", ["organisation_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_jobs_pull_request",
        "jobs",
        ["pull_request_look_at"],
        unique=False,
        postgresql_where=sa.text(
            "stage IN ('DONE', 'FAILED', 'CANCELLED') AND (pull_request_state = 'open' "
            "OR (pull_request_state = 'closed' AND pull_request_look_at IS NOT NULL))"
        ),
    )
    op.create_index(
        "ix_jobs_queued",
        "jobs",
        ["organisation_id", sa.literal_column("(kind <> 'rework')"), "rank", "id"],
        unique=False,
        postgresql_where=sa.text("stage = 'QUEUED'"),
    )
    op.create_index(
        "ix_jobs_wanted",
        "jobs",
        ["organisation_id", "program", "labels", sa.literal_column("(kind <> 'rework')"), "rank", "id"],
        unique=False,
        postgresql_where=sa.text("stage = 'QUEUED' AND deleted_at IS NULL"),
    )
    op.create_table(
        "job_attempts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("branch", sa.Text(), nullable=True),
        sa.Column("commit", sa.Text(), nullable=True),
        sa.Column("adopted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cleanup_owed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("told_session", sa.BigInteger(), nullable=True),
        sa.Column("finished", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("late_work", sa.Text(), nullable=True),
        sa.Column("late_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "late_work IN ('owed', 'kept', 'nothing', 'gone', 'declined')", name=op.f("ck_job_attempts_late_work")
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["remote_agents.id"], name=op.f("fk_job_attempts_agent_id_remote_agents"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_attempts_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "epoch", name=op.f("pk_job_attempts")),
    )
    op.create_index(
        "ix_job_attempts_owed",
        "job_attempts",
        ["agent_id"],
        unique=False,
        postgresql_where=sa.text("cleanup_owed"),
    )
    op.create_table(
        "job_commands",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_commands_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_commands")),
    )
    op.create_index("ix_job_commands_job", "job_commands", ["job_id", "epoch"], unique=False)
    op.create_table(
        "job_model_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("agent_token_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("pavo_now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_token_id"],
            ["agent_tokens.id"],
            name=op.f("fk_job_model_tokens_agent_token_id_agent_tokens"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_model_tokens_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_job_model_tokens")),
    )
    op.create_index("ix_job_model_tokens_job_id", "job_model_tokens", ["job_id"], unique=False)
    op.create_index("ix_job_model_tokens_agent_token_id", "job_model_tokens", ["agent_token_id"], unique=False)
    op.add_column("model_calls", sa.Column("exhausted", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "job_logs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("gap", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_logs_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "epoch", "seq", name=op.f("pk_job_logs")),
    )
    op.create_table(
        "job_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "xid", "id", name=op.f("pk_job_changes")),
    )
    op.create_index("ix_job_changes_at", "job_changes", ["at"], unique=False)
    op.create_table(
        "job_log_additions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("xid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            server_default=sa.text("nextval('job_changes_id_seq')"),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "xid", "id", name=op.f("pk_job_log_additions")),
    )
    op.create_index("ix_job_log_additions_at", "job_log_additions", ["at"], unique=False)
    op.create_table(
        "gateway_presence",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_gateway_presence_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_presence")),
    )
    op.execute(_JOB_CHANGED)
    op.execute(_QUEUE_CHANGED)
    op.execute(_JOB_REMOVED)
    op.execute(_ON_REMOVAL)
    op.execute(_ON_JOBS)
    op.execute("CREATE TRIGGER jobs_added AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION job_changed()")
    op.execute(_ON_QUEUES)
    op.execute(_JOB_TOLD)
    op.execute(_JOB_WEBHOOKS)
    for each in _TOLD_OF:
        op.execute(_TELLING % each)
    op.add_column("gates", sa.Column("subject_kind", sa.Text(), server_default="task", nullable=False))


def downgrade() -> None:
    op.drop_column("gates", "subject_kind")
    for name, _, _ in _TOLD_OF:
        op.execute(f"DROP TRIGGER jobs_webhooks_{name} ON jobs")
    op.execute("DROP FUNCTION jobs_webhooks()")
    op.execute("DROP FUNCTION job_told(jobs, text)")
    op.execute("DROP TRIGGER job_queues_changed ON job_queues")
    op.execute("DROP TRIGGER jobs_added ON jobs")
    op.execute("DROP TRIGGER jobs_changed ON jobs")
    op.execute("DROP TRIGGER jobs_removed ON jobs")
    op.execute("DROP FUNCTION job_removed()")
    op.execute("DROP FUNCTION job_queue_changed()")
    op.execute("DROP FUNCTION job_changed()")
    op.drop_table("gateway_presence")
    op.drop_table("job_log_additions")
    op.drop_table("job_changes")
    op.drop_table("job_logs")
    op.drop_column("model_calls", "exhausted")
    op.drop_table("job_model_tokens")
    op.drop_table("job_commands")
    op.drop_table("job_attempts")
    op.drop_table("jobs")
    op.drop_table("job_queues")
    op.drop_table("agent_tokens")
    op.drop_table("remote_agents")
    op.drop_table("repositories")
