"""Time comes from one clock, PostgreSQL's `pavo_now()`, which a test can shift for everything at once."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from temporalio.client import Client

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.kit.sql import Database
from tests.clock import Clock
from tests.driving import Tasks, until

OTHER_CLOCKS = re.compile(
    r"\bfunc\.(now|clock_timestamp|statement_timestamp|current_timestamp)\(\)"
    r"|\b(clock_timestamp|statement_timestamp)\(\)|\b(CURRENT_TIMESTAMP|LOCALTIMESTAMP)\b"
    r"|(?:=|,|\(|<|>|coalesce\()\s*now\(\)\s*(?:[-+,)]|WHERE|AND|$)"
    r"|\btime\.time(_ns)?\b|\bdatetime\.(now|utcnow|today)\b|\bdate\.today\b|\bfrom time import .*\btime(_ns)?\b"
    r"|\btime\.(gmtime|localtime)\b"
)
CERTIFICATES = "certificates end by the clock of the machine that judges them, as in every TLS library"
MAY = {
    "deploy/checks/connectivity.py": "compares the server's clock with this machine's",
    "artifacts/store.py": "the age of files that nobody finished: removed too soon, what they were for is done again",
    "cli/artifacts/archive.py": "says to people when an archive was written",
    "cli/task/demo.py": "measures on one machine",
    "cli/task/render.py": "says how long ago it was, to people",
    "cli/deploy/certificates.py": CERTIFICATES,
    "cli/deploy/commands.py": CERTIFICATES,
    "cli/stack/doctor.py": CERTIFICATES,
    "deploy/backups/take_backup.py": "names a folder",
    "deploy/checks/environment.py": "compares Temporal's clock with this machine's",
    "deploy/checks/run.py": CERTIFICATES,
    "deploy/local/dumps/database_dump.py": "says to people when a dump was taken",
    "deploy/local/ended_workers.py": "says to people when a worker ended; the order in its file decides",
    "deploy/local/machine/logs.py": "log lines",
    "deploy/local/components/gateway_process.py": CERTIFICATES,
    "deploy/local/native.py": CERTIFICATES,
    "deploy/local/restarts/renewal.py": CERTIFICATES,
    "deploy/model/kept_settings.py": "says to people when settings changed, also before there is a PostgreSQL",
    "deploy/orchestrated/compose_target.py": CERTIFICATES,
    "kit/clock.py": "the function whose users are looked for below",
    "kit/ids.py": "ids that sort roughly; what is older is decided by columns of PostgreSQL's time",
    "logging.py": "log lines",
    "remote/git/repositories.py": "the age of files that killed commands of git left",
    "remote/work.py": "when an agent says that a line came, to people; lines are ordered by their numbers",
    "testing/artifacts.py": "an author's test, which has no PostgreSQL",
    "testing/transcript.py": "an author's test, which has no PostgreSQL",
    "timeline/viewers.py": "a metric, whose description names clocks that differ",
    "webhooks/deliverer.py": "a signature's moment, which receivers judge by their clock, not Pavo",
}
"""Where another clock is read, and why that decides nothing."""
SETTINGS = HttpSettings(auth="token", secret_key="a secret of more than thirty-two characters")  # type: ignore[arg-type]


def moment(told: str) -> datetime:
    return datetime.fromisoformat(told)


def test_nothing_else_reads_a_clock(root: Path) -> None:
    found = {
        str(path.relative_to(root / "src/pavo")): line.strip()
        for path in (root / "src/pavo").rglob("*.py")
        for line in path.read_text().splitlines()
        if OTHER_CLOCKS.search(line)
    }
    assert not found.keys() - MAY.keys(), {path: line for path, line in found.items() if path not in MAY}
    pythons = {
        str(path.relative_to(root / "src/pavo"))
        for path in (root / "src/pavo").rglob("*.py")
        if re.search(r"from pavo\.kit\.clock import .*\bnow\b", path.read_text())
    }
    assert pythons <= MAY.keys(), pythons - MAY.keys()
    assert MAY.keys() <= found.keys() | pythons, "an exception that nothing needs any more"


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


async def new_token(database: Database, lasting: timedelta) -> str:
    accounts = AccountsService(database, SETTINGS)
    return (await accounts.create_token(f"{uuid.uuid4().hex}@example.com", "for a while", lasting)).secret


async def valid(database: Database, token: str) -> bool:
    """Asked of a service that remembers nothing."""
    return await AccountsService(database, SETTINGS).identify_token(token) is not None


async def test_a_shift_moves_everything_at_once(database: Database, clock: Clock, tasks: Tasks) -> None:
    token = await new_token(database, timedelta(hours=1))
    assert await valid(database, token)
    await clock.forward(timedelta(hours=2))
    async with database.reading() as session:
        ahead = await session.scalars(text("SELECT pavo_instant() - clock_timestamp() > interval '1 h 59 min'"))
        assert ahead.one()
    assert not await valid(database, token)
    task = await tasks.get(await tasks.create())
    events = await tasks.events(task["id"])
    later = datetime.now(UTC) + timedelta(hours=1, minutes=50)
    for told in (task["created_at"], task["updated_at"], events[0]["at"]):
        assert moment(told) > later
    await clock.back()
    assert await valid(database, token)


async def test_a_plan_is_accepted_after_three_weeks_of_review(
    clock: Clock, tasks: Tasks, temporal: Client, database: Database
) -> None:
    token = await new_token(database, timedelta(days=14))
    task = await tasks.reviewable()
    await clock.forward(timedelta(days=21), task["workflow_id"])
    assert (await tasks.get(task["id"]))["stage"] == "WAIT_RFC", "a review has no end of its own"
    assert not await valid(database, token)
    await tasks.accept(task)
    done = await tasks.wait(task["id"], "DONE")
    assert timedelta(days=21) < moment(done["updated_at"]) - moment(task["updated_at"]) < timedelta(days=21, hours=1)
    events = await tasks.events(task["id"])
    at = {event["type"]: moment(event["at"]) for event in events}
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    [plan] = [document for document in await tasks.documents(task["id"]) if document["kind"] == "PLAN"]
    assert at["accepted"] - moment(plan["created_at"]) > timedelta(days=21)
    assert timedelta() <= at["accepted"] - moment(plan["accepted_at"]) < timedelta(seconds=5)
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    ended = history.events[-1].event_time.ToDatetime(UTC)
    assert abs(ended - at["report"]) < timedelta(seconds=10), "Temporal and PostgreSQL tell the same time"


async def test_what_is_tried_again_later_is_tried_then_on_both_clocks(
    clock: Clock, tasks: Tasks, temporal: Client
) -> None:
    """The row says when; Temporal's timer does it."""
    path = await tasks.started({"steps": 5, "step_seconds": 0, "fail_at": 3}, auto_accept=True)
    workflow_id = (await tasks.get(path))["workflow_id"]
    retries: list[dict[str, Any]] = []
    for _ in range(4):

        async def failed_again() -> bool:
            found = [event for event in await tasks.events(path) if event["type"] == "retry"]
            more, retries[:] = len(found) > len(retries), found
            return more

        await until(failed_again)
        if len(retries) > 1:
            assert moment(retries[-1]["at"]) >= moment(retries[-2]["next_retry_at"]), "not before"
        again = moment((await tasks.get(path))["next_retry_at"])
        assert again == moment(retries[-1]["next_retry_at"])
        await clock.forward(again - await clock.now(), workflow_id)
    assert (await tasks.wait(path, "FAILED"))["next_retry_at"] is None
    assert clock.ahead > timedelta(seconds=10), "the waits were skipped"
    ended = moment((await tasks.events(path))[-1]["at"])
    history = await temporal.get_workflow_handle(workflow_id).fetch_history()
    assert abs(history.events[-1].event_time.ToDatetime(UTC) - ended) < timedelta(seconds=10)
