"""Time comes from one clock, PostgreSQL's `pavo_now()`, which a test can shift for everything at once."""

import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.kit.sql import Database
from tests.driving import Tasks

OTHER_CLOCKS = re.compile(
    r"\bfunc\.(now|clock_timestamp|statement_timestamp|current_timestamp)\(\)"
    r"|\b(clock_timestamp|statement_timestamp)\(\)|\b(CURRENT_TIMESTAMP|LOCALTIMESTAMP)\b"
    r"|(?:=|,|\(|<|>|coalesce\()\s*now\(\)\s*(?:[-+,)]|WHERE|AND|$)"
)
MAY = {
    "deploy/checks/connectivity.py": "compares the server's clock with this machine's",
    "deploy/checks/migrations.py": "names functions",
    "cli/task/demo.py": "measures on one machine",
    "cli/task/render.py": "says how long ago it was, to people",
    "logging.py": "log lines",
    "timeline/viewers.py": "a metric, whose description names clocks that differ",
}
"""Where another clock is read, and why that decides nothing."""


def test_nothing_else_reads_a_clock(root: Path) -> None:
    found = {
        str(path.relative_to(root / "src/pavo")): line.strip()
        for path in (root / "src/pavo").rglob("*.py")
        for line in path.read_text().splitlines()
        if OTHER_CLOCKS.search(line)
    }
    assert not found.keys() - MAY.keys(), found
    pythons = {
        str(path.relative_to(root / "src/pavo"))
        for path in (root / "src/pavo").rglob("*.py")
        if re.search(r"from pavo\.kit\.clock import .*\bnow\b", path.read_text())
    }
    assert pythons <= MAY.keys(), pythons - MAY.keys()


async def test_the_schema_has_no_other_clock(database: Database) -> None:
    async with database.reading() as session:
        defaults = await session.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE column_default ~ :clock"),
            {"clock": r"\m(now|clock_timestamp)\(|CURRENT_TIMESTAMP"},
        )
        functions = await session.execute(
            text(
                "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
                " AND proname NOT IN ('pavo_now', 'pavo_instant') AND prosrc ~ :clock"
            ),
            {"clock": r"\m(now|clock_timestamp)\("},
        )
        assert (defaults.all(), functions.all()) == ([], [])


async def test_a_statement_has_one_time(database: Database) -> None:
    """Or a comment that is new would be shown as edited, and no index would serve."""
    async with database.reading() as session:
        same = text(
            "SELECT bool_and(pavo_now() = moment) FROM (SELECT pavo_now() AS moment) m, generate_series(1, 9999)"
        )
        assert (await session.scalars(same)).one()
        plan = await session.scalars(text("EXPLAIN (COSTS OFF) SELECT FROM tasks WHERE updated_at < pavo_now()"))
        assert "statement_timestamp()" in "".join(plan), "it is inlined"


@asynccontextmanager
async def shifted(database: Database, by: timedelta) -> AsyncGenerator[None]:
    """Everything that asks PostgreSQL for the time is told a later one."""
    replace = "CREATE OR REPLACE FUNCTION pavo_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS '{}'"
    moment = f"SELECT statement_timestamp() + interval ''{int(by.total_seconds())} seconds''"
    async with database.autocommit() as connection:
        await connection.execute(text(replace.format(moment)))
    try:
        yield
    finally:
        async with database.autocommit() as connection:
            await connection.execute(text(replace.format("SELECT statement_timestamp()")))


async def test_a_shift_moves_everything_at_once(database: Database, tasks: Tasks) -> None:
    settings = HttpSettings(auth="token", secret_key="a secret of more than thirty-two characters")  # type: ignore[arg-type]
    created = await AccountsService(database, settings).create_token(
        f"{uuid.uuid4().hex}@example.com", "short", timedelta(hours=1)
    )
    assert await AccountsService(database, settings).identify_token(created.secret) is not None
    async with shifted(database, timedelta(hours=2)):
        async with database.reading() as session:
            ahead = await session.scalars(text("SELECT pavo_instant() - clock_timestamp() > interval '1 h 59 min'"))
            assert ahead.one()
        assert await AccountsService(database, settings).identify_token(created.secret) is None, "expired by now"
        task = await tasks.get(await tasks.create())
        events = (await tasks.client.get(f"/api/tasks/{task['id']}/events")).json()["items"]
        later = datetime.now(UTC) + timedelta(hours=1, minutes=50)
        for moment in (task["created_at"], task["updated_at"], events[0]["at"]):
            assert datetime.fromisoformat(moment) > later
    assert await AccountsService(database, settings).identify_token(created.secret) is not None, "and back"
