"""`pavo job` and `pavo queue`, typed as people type them, against a real API."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import update

from pavo.jobs.sql.models import JobLogRow, JobRow
from pavo.kit.sql import Database
from tests.jobs.shell import Shell

URL = "https://git.example.com/acme/site.git"


async def submitted(shell: Shell, *words: str) -> uuid.UUID:
    """A job of a repository that is there."""
    if not (await shell.json("repo", "list"))["repositories"]:
        await shell.type("repo", "add", "site", URL)
    job = await shell.json("job", "submit", "Fix the login", "--repo", "site", "--program", "codex", *words)
    return uuid.UUID(job["id"])


async def test_the_life_of_a_job(shell: Shell) -> None:
    assert "No such jobs" in (await shell.type("job", "list")).stdout
    words = ("--title", "Login", "--label", "gpu", "--option", "effort=3", "--priority", "70")
    job = await submitted(shell, *words)
    shown = await shell.json("job", "show", str(job)[-8:])
    assert shown["title"] == "Login" and shown["labels"] == ["gpu"] and shown["options"] == {"effort": 3}
    assert "Login" in (await shell.type("job", "list", "--stage", "queued")).stdout
    text = (await shell.type("job", "show", "last", "--workflow")).stdout
    assert "QUEUED" in text and "site, from main" in text
    assert "is cancelled" in (await shell.type("job", "cancel", "last")).stdout
    assert (await shell.json("job", "requeue", "last"))["stage"] == "QUEUED"
    await shell.type("job", "cancel", "last")
    assert (await shell.json("job", "rework", "last", "Use the helper."))["kind"] == "rework"
    assert "adopt" not in (await shell.type("job", "adopt", "last", "9", code=3)).stdout
    await shell.type("job", "show", "nope-nope", code=3)
    await shell.type("job", "show", "x", code=2)


async def test_what_is_wrong_with_a_job(shell: Shell) -> None:
    refused = await shell.type("job", "submit", "x", "--repo", "nowhere", "--program", "codex", code=2)
    assert "pavo repo list" in refused.stderr
    await submitted(shell)
    wrong = await shell.type("job", "submit", "x", "--repo", "site", "--program", "codex", "--branch", "a..b", code=2)
    assert "no name of a branch" in wrong.stderr


async def test_the_queue(shell: Shell) -> None:
    first, second = await submitted(shell), await submitted(shell)
    shown = (await shell.type("queue", "show")).stdout
    assert "The queue is open; 1 at once" in shown and str(first)[-8:] in shown and "WHY IT WAITS" in shown
    assert "number 1" in (await shell.type("queue", "move", str(second), "--position", "1")).stdout
    assert (await shell.json("job", "move", str(second), "--priority", "0"))["priority"] == 0
    assert "paused" in (await shell.type("queue", "pause")).stdout
    assert (await shell.json("queue", "show"))["paused"] is True
    assert "2 jobs wait" in (await shell.type("queue", "resume")).stdout
    assert (await shell.json("queue", "limit", "4"))["at_once"] == 4
    await shell.type("queue", "move", str(first), code=2)


async def test_logs_and_watching(shell: Shell, database: Database) -> None:
    job = await submitted(shell)
    values = {"at": datetime.now(UTC), "stage": "EXECUTING", "source": "program"}
    async with database.transaction() as session:
        for seq, level in enumerate(("info", "error", "info"), 1):
            session.add(JobLogRow(job_id=job, epoch=1, seq=seq, level=level, text=f"line {seq}\x1b[2J", **values))
        await session.execute(update(JobRow).where(JobRow.id == job).values(stage="FAILED"))
    shown = (await shell.type("job", "logs", "last", "-f")).stdout
    assert shown.count("line") == 3 and "\x1b" not in shown, "what a terminal would obey is written out"
    lines = (await shell.type("job", "logs", "last", "--level", "error", "-o", "json")).stdout.splitlines()
    assert len(lines) == 1 and '"id": "1-2"' in lines[0]
    assert "1-3" in (await shell.type("job", "logs", "last", "--after", "1-2")).stdout
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == job).values(stage="QUEUED"))
    await shell.type("job", "cancel", "last")
    watched = await shell.type("job", "watch", "last", code=1)
    assert "queued" in watched.stdout and "CANCELLED" in watched.stdout
