"""Which migrations lock what."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from pavo.deploy.checks.migrations import Effect, check_migrations, locks, statements
from pavo.kit import migrate
from tests.parts import Stores, drop_database, new_database


@pytest.mark.parametrize(
    ("sql", "table", "effect"),
    [
        ("CREATE INDEX ix ON tasks (stage)", "tasks", Effect.WRITES),
        ('CREATE UNIQUE INDEX IF NOT EXISTS "ix" ON public."tasks" (stage)', "tasks", Effect.WRITES),
        ("ALTER TABLE tasks ADD COLUMN note TEXT", "tasks", Effect.BRIEF),
        ("ALTER TABLE tasks ADD COLUMN n INTEGER DEFAULT 0 NOT NULL", "tasks", Effect.BRIEF),
        ("ALTER TABLE tasks ADD COLUMN n UUID DEFAULT gen_random_uuid()", "tasks", Effect.ALL),
        ("ALTER TABLE tasks ADD COLUMN n INT GENERATED ALWAYS AS (id * 2) STORED", "tasks", Effect.ALL),
        ("ALTER TABLE tasks ALTER COLUMN n TYPE BIGINT", "tasks", Effect.ALL),
        ("ALTER TABLE tasks ALTER n SET NOT NULL", "tasks", Effect.ALL),
        ("ALTER TABLE tasks ALTER n SET DEFAULT 5", "tasks", Effect.BRIEF),
        ("ALTER TABLE tasks ADD CONSTRAINT ck CHECK (n > 0)", "tasks", Effect.ALL),
        ("ALTER TABLE tasks ADD CONSTRAINT ck CHECK (n > 0) NOT VALID", "tasks", Effect.BRIEF),
        ("ALTER TABLE tasks ADD CONSTRAINT fk FOREIGN KEY(n) REFERENCES users (id)", "tasks", Effect.WRITES),
        ("ALTER TABLE ONLY tasks DROP COLUMN n", "tasks", Effect.BRIEF),
        ("DROP INDEX ix_tasks", "ix_tasks", Effect.BRIEF),
        ("DROP TABLE tasks", "tasks", Effect.BRIEF),
        ("UPDATE tasks SET n = 1", "tasks", Effect.ROWS),
        ("DELETE FROM events WHERE seq < 5", "events", Effect.ROWS),
        ("CREATE TABLE fresh (task UUID REFERENCES tasks (id))", "tasks", Effect.BRIEF),
        ("CREATE TRIGGER t BEFORE INSERT ON tasks EXECUTE FUNCTION f()", "tasks", Effect.BRIEF),
        ("TRUNCATE events", "events", Effect.BRIEF),
    ],
)
def test_what_a_statement_locks(sql: str, table: str, effect: Effect) -> None:
    (lock,) = locks(f"BEGIN;\n{sql};\nCOMMIT;")
    assert (lock.table, lock.effect) == (table, effect)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY ix ON tasks (stage)",
        "DROP INDEX CONCURRENTLY ix",
        "ALTER TABLE tasks VALIDATE CONSTRAINT ck",
        "CREATE TABLE fresh (id UUID); CREATE INDEX ix ON fresh (id); ALTER TABLE fresh ALTER id SET NOT NULL",
        "CREATE FUNCTION f() RETURNS void AS $$ BEGIN UPDATE tasks SET n = 1; LOCK TABLE events; END $$",
        "INSERT INTO alembic_version VALUES ('x; ALTER TABLE tasks DROP COLUMN n')",
        "-- ALTER TABLE tasks DROP COLUMN n\nSELECT 1 /* ; DROP TABLE tasks; */",
    ],
)
def test_what_locks_nothing_that_is_in_use(sql: str) -> None:
    assert locks(sql) == []


def test_statements_are_told_apart() -> None:
    script = "SELECT 'a;b';\n-- c;\nDO $x$ d; $x$; SELECT \"e;f\" - 1 / 2"
    assert list(statements(script)) == ["SELECT 'a;b'", "DO $$", 'SELECT "e;f" - 1 / 2']


HEAVY = '''"""Find tasks by note"""
from alembic import op
import sqlalchemy as sa
revision, down_revision = "9001", "{head}"
def upgrade():
    op.add_column("tasks", sa.Column("note", sa.Text()))
    op.create_index("ix_events_type", "events", ["type"])
'''
CLEVER = '''"""Work on data"""
from alembic import op
revision, down_revision = "9002", "9001"
def upgrade():
    op.get_bind().exec_driver_sql("SELECT 1").scalar_one()
'''


@pytest.fixture
def pending(stores: Stores, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database at this build's head, with two migrations of a later build pending; the URL."""
    url = new_database(stores)
    migrate.upgrade(url)
    folder = tmp_path / "migrations"
    shutil.copytree(root / "migrations", folder)
    head = ScriptDirectory.from_config(migrate.config(url)).get_current_head()
    (folder / "versions" / "9001_heavy.py").write_text(HEAVY.format(head=head))
    (folder / "versions" / "9002_clever.py").write_text(CLEVER)
    original = migrate.config

    def config(url: str) -> Config:
        found = original(url)
        found.set_main_option("script_location", str(folder))
        return found

    monkeypatch.setattr(migrate, "config", config)
    yield url
    drop_database(stores, url)


def test_a_locking_migration_is_named_with_its_tables(pending: str) -> None:
    heavy, clever = check_migrations(pending)
    assert (heavy.name, heavy.status) == ("migration 9001", "warn")
    assert "Find tasks by note" in heavy.detail and "tasks (0 rows): locks for a moment" in heavy.detail
    assert "events (0 rows): keeps writers out" in heavy.detail
    assert "pg_stat_activity" in (heavy.remedy or "")
    assert clever.status == "warn" and "cannot be shown as SQL" in clever.detail
    with psycopg.connect(pending, autocommit=True) as connection:
        connection.execute("UPDATE pg_class SET reltuples = 5e6 WHERE relname = 'events'")
    heavy = check_migrations(pending)[0]
    assert "events (5,000,000 rows)" in heavy.detail and "CREATE INDEX ix_events_type" in (heavy.remedy or "")


def test_a_schema_of_a_newer_build_is_refused(pending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(pending, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    (found,) = check_migrations(pending)
    assert found.status == "fail" and "9999" in found.detail and found.remedy


def test_an_empty_and_an_up_to_date_database_lock_nothing(stores: Stores) -> None:
    url = new_database(stores)
    assert {finding.status for finding in check_migrations(url)} == {"pass"}
    migrate.upgrade(url)
    assert [finding.detail for finding in check_migrations(url)] == ["the schema is up to date"]
    drop_database(stores, url)
