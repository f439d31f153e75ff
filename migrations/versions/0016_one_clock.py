"""One clock: what asks for the time asks `pavo_now()`

That is the time at which the statement began, the same throughout it, so that indexes serve and a row that is made has
one time. What may come long after its statement began asks `pavo_instant()`, by the same clock. Functions
of one line are inlined: they cost what they call. Tests replace `pavo_now()` to shift the time of everything at once.
Defaults and functions of before are changed to call them; no row is written. The version before goes on asking the
server's clock, which tells the same time.
"""

import re

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DEFAULTS = {
    "api_tokens": ("created_at",),
    "corpus_documents": ("created_at",),
    "documents": ("created_at",),
    "feedback": ("created_at", "updated_at"),
    "idempotency_keys": ("created_at",),
    "invitation_links": ("created_at",),
    "invitations": ("created_at",),
    "memberships": ("created_at",),
    "messages": ("created_at",),
    "organisations": ("created_at",),
    "task_logs": ("at",),
    "tasks": ("created_at", "updated_at"),
    "users": ("created_at",),
    "webhook_deliveries": ("created_at", "due_at"),
    "webhook_secrets": ("created_at",),
    "webhooks": ("created_at",),
}
"""Columns whose default is the time."""

_FUNCTIONS = """
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname NOT IN ('pavo_now', 'pavo_instant')
          AND p.proowner = current_user::regrole AND p.prosrc ~ '{old}'
    LOOP
        EXECUTE regexp_replace(pg_get_functiondef(v_function), '{old}', '{new}', 'g');
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION pavo_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT statement_timestamp()'
    """)
    op.execute("""
        CREATE FUNCTION pavo_instant() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
        AS 'SELECT pavo_now() + (clock_timestamp() - statement_timestamp())'
    """)
    _set_defaults("pavo_now()")
    _replace("clock_timestamp()", "pavo_instant()")
    _replace("now()", "pavo_now()")


def downgrade() -> None:
    _replace("pavo_now()", "now()")
    _replace("pavo_instant()", "clock_timestamp()")
    _set_defaults("now()")
    op.execute("DROP FUNCTION pavo_instant()")
    op.execute("DROP FUNCTION pavo_now()")


def _replace(old: str, new: str) -> None:
    op.execute(_FUNCTIONS.format(old=rf"\m{re.escape(old)}", new=new))


def _set_defaults(default: str) -> None:
    for table, columns in DEFAULTS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}")
