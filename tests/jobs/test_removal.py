"""Jobs that are removed with all that they hold, organisations with their jobs, logs that are old, and exports."""

import asyncio
import json
import tarfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.accounts.domain import Identity
from pavo.artifacts import recording
from pavo.artifacts.recording import ArtifactOwner, NewArtifact
from pavo.artifacts.wiring import build_keeping
from pavo.config import Settings
from pavo.errors import NotFound
from pavo.jobs.agents.sessions import HeldJob, debts_of, pay_debt
from pavo.jobs.removal import rounds
from pavo.jobs.requests.service import JobViews
from pavo.jobs.sql.log_lines import NewLine, add_lines
from pavo.kit.sql import Database
from pavo.protocol.fleet_pb2 import Executed, Result
from tests.driving import until
from tests.jobs.organisations import Person, add_agent, somebody
from tests.jobs.shell import shell_of
from tests.jobs.test_api_logs import URL, say

NEW = {"repository": "site", "prompt": "Fix the login", "program": "codex"}
OF_RUN = {"budgets": "task_id", "usage_calls": "task_id"}
OF_JOB = {"job_logs": "job_id", "job_commands": "job_id", "job_attempts": "job_id"}
OF_TIMELINE = {"timelines": "id", "events": "timeline_id", "artifacts": "subject_id"}


@pytest_asyncio.fixture
async def job(database: Database, settings: Settings, owner: Person) -> uuid.UUID:
    """A job that is over, with one of everything."""
    await owner.post("repositories", status=201, name="site", clone_url=URL)
    job_id = uuid.UUID((await owner.post("jobs", status=201, **NEW))["id"])
    await say(database, job_id, 1, range(1, 1_203))
    agent = await add_agent(database, owner.organisation_id, "box")
    result = Result(executed=Executed(changed=True, commit="abc", summary="Done.")).SerializeToString()
    for statement in (
        "INSERT INTO job_attempts (job_id, epoch, agent_id, agent) VALUES (:job, 1, :agent, 'box')",
        "INSERT INTO job_commands (id, job_id, epoch, kind, request, result) "
        "VALUES (:command, :job, 1, 'start_execution', '', :result)",
        "UPDATE jobs SET epoch = 1, agent_id = :agent WHERE id = :job",
    ):
        values = {"job": job_id, "agent": agent, "command": uuid.uuid4(), "result": result}
        names = {name: value for name, value in values.items() if f":{name}" in statement}
        await run(database, statement, **names)
    await keep(database, settings, owner, job_id, b"--- a\n+++ b\n")
    await owner.client.post(f"/api/jobs/{job_id}/cancel")
    return job_id


async def keep(database: Database, settings: Settings, owner: Person, job_id: uuid.UUID, content: bytes) -> None:
    keeping = build_keeping(settings)
    assert keeping is not None
    draft = keeping.store.begin()
    draft.write(content)
    new = [NewArtifact("report.patch", "text/x-diff", draft.finish())]
    of = ArtifactOwner(job_id, owner.organisation_id)
    await recording.announce(database, of, new)
    async with database.transaction() as session:
        await recording.record(session, keeping.store, keeping.limits, of, new)


async def run(database: Database, statement: str, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


async def held(database: Database, job_id: uuid.UUID) -> set[str]:
    """The tables that hold something of the job."""
    async with database.reading() as session:
        found = set[str]()
        for table, key in (OF_JOB | OF_TIMELINE | OF_RUN).items():
            query = text(f"SELECT count(*) FROM {table} WHERE {key} = :job")
            if (await session.scalars(query, {"job": job_id})).one():
                found.add(table)
        return found


async def test_all_of_a_removed_job_goes(database: Database, owner: Person, job: uuid.UUID) -> None:
    assert await held(database, job) == {*OF_JOB, *OF_TIMELINE}
    watching = asyncio.create_task(owner.client.get(f"/api/jobs/{job}/stream"))
    removed = await owner.client.post(f"/api/jobs/{job}/remove")
    assert removed.status_code == 204, removed.text
    stream = await watching
    assert stream.status_code == 204 or '"type":"deleted"' in stream.text.replace(" ", "")
    for path in ("", "/logs", "/events", "/artifacts", "/commands", "/workflow-status"):
        assert (await owner.client.get(f"/api/jobs/{job}{path}")).status_code == 404
    assert (await owner.client.post(f"/api/jobs/{job}/remove")).status_code == 404
    assert (await owner.client.post(f"/api/jobs/{job}/requeue")).status_code == 404
    assert not (await owner.get("jobs"))["items"]
    assert {*OF_JOB} & await held(database, job) == set()
    assert "timelines" in await held(database, job), "who follows sees its end"

    async def gone() -> bool:
        await rounds.go_on(database, age=timedelta(0))
        return not await held(database, job)

    await until(gone, what="the removal")
    async with database.reading() as session:
        row = (
            await session.execute(text("SELECT title, prompt, removed_at FROM jobs WHERE id = :id"), {"id": job})
        ).one()
    assert (row.title, row.prompt) == ("", "") and row.removed_at is not None
    await say_late(database, job)
    assert not await held(database, job), "what comes late is not kept"
    assert (await owner.client.get(f"/api/jobs/{job}/stream")).status_code == 204


async def say_late(database: Database, job: uuid.UUID) -> None:
    line = NewLine(job, 1, 5_000, 0, "EXECUTING", "info", "program", None, 0, "late")
    assert await add_lines(database, [line]) == 0


async def test_what_an_agent_owes_stays_until_it_is_paid(database: Database, owner: Person, job: uuid.UUID) -> None:
    await run(database, "UPDATE job_attempts SET cleanup_owed = true WHERE job_id = :job", job=job)
    assert (await owner.client.post(f"/api/jobs/{job}/remove")).status_code == 204
    await rounds.go_on(database, age=timedelta(0))
    assert await held(database, job) == {"job_attempts"}
    async with database.transaction() as session:
        query = text("SELECT agent_id FROM job_attempts WHERE job_id = :job")
        agent = (await session.scalars(query, {"job": job})).one()
        assert [each.job_id for each in await debts_of(session, agent)] == [job]
        await pay_debt(session, agent, HeldJob(job, 1))
    assert not await held(database, job)


async def test_late_work_of_a_removed_job_is_declined(database: Database, owner: Person, job: uuid.UUID) -> None:
    """Nobody is left to adopt it: the agent pushes nothing, and removes the worktree."""
    owes = "UPDATE job_attempts SET cleanup_owed = true, late_work = 'owed' WHERE job_id = :job"
    await run(database, owes, job=job)
    assert (await owner.client.post(f"/api/jobs/{job}/remove")).status_code == 204
    async with database.transaction() as session:
        query = text("SELECT agent_id, late_work FROM job_attempts WHERE job_id = :job")
        (row,) = (await session.execute(query, {"job": job})).all()
        assert row.late_work == "declined"
        assert [each.job_id for each in await debts_of(session, row.agent_id)] == [job]


async def test_only_what_is_over_and_ones_own_is_removed(stack: str, owner: Person, job: uuid.UUID) -> None:
    waiting = (await owner.post("jobs", status=201, **NEW))["id"]
    refused = await owner.client.post(f"/api/jobs/{waiting}/remove")
    assert refused.status_code == 409 and "Cancel it first" in refused.text
    async with somebody(stack) as other:
        assert (await other.client.post(f"/api/jobs/{job}/remove")).status_code == 404
        assert (await other.client.get(f"/api/jobs/{job}/commands")).status_code == 404
    assert (await owner.client.get(f"/api/jobs/{job}")).status_code == 200


async def test_with_an_organisation_all_of_its_jobs_goes(database: Database, owner: Person, job: uuid.UUID) -> None:
    await owner.post("agent-tokens", status=201, name="laptop")
    assert await add_lines(database, [NewLine(job, 9, 1, 1_000, "EXECUTING", "info", "program", None, 0, "late")]) == 1
    mine = {"organisation": owner.organisation_id}
    other = uuid.uuid4()  # people keep a home
    await run(database, "INSERT INTO organisations (id, name) VALUES (:other, 'other')", other=other)
    move = "UPDATE users SET organisation_id = :other WHERE organisation_id = :organisation"
    await run(database, move, other=other, **mine)
    await run(database, "DELETE FROM organisations WHERE id = :organisation", **mine)
    assert not await held(database, job)
    tables = ("jobs", "repositories", "remote_agents", "agent_tokens", "job_queues", "job_changes", "job_log_additions")
    async with database.reading() as session:
        for table in tables:
            query = text(f"SELECT count(*) FROM {table} WHERE organisation_id = :organisation")
            assert (await session.scalars(query, mine)).one() == 0, table


async def test_old_logs_are_removed_and_what_else_there_is_stays(
    database: Database, owner: Person, job: uuid.UUID
) -> None:
    await rounds.forget_old(database, 90)
    assert "job_logs" in await held(database, job)
    await run(database, "UPDATE jobs SET ended_at = pavo_now() - interval '91 days' WHERE id = :job", job=job)

    async def gone() -> bool:
        await rounds.forget_old(database, 90)
        return "job_logs" not in await held(database, job)

    await until(gone, what="the removal of the log")
    assert {"job_commands", "job_attempts", "events", "artifacts"} <= await held(database, job)
    assert (await owner.client.get(f"/api/jobs/{job}/logs")).json()["items"] == []
    assert (await owner.client.post(f"/api/jobs/{job}/requeue")).status_code == 200
    await say(database, job, 2, [1])
    await rounds.forget_old(database, 90)
    assert "job_logs" in await held(database, job), "the log of what goes on stays"


async def test_a_job_is_exported_and_removed_by_commands(
    owner: Person,
    job: uuid.UUID,
    stack: str,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shell = shell_of(monkeypatch, stack, owner.client.headers["X-User-Email"], environment["DATABASE_URL"])
    place = tmp_path / "job.tar.gz"
    told = await shell.json("job", "export", str(job), "-O", str(place))
    assert told == {"file": str(place), "events": 3, "commands": 1, "lines": 1_202, "artifacts": 1}
    with tarfile.open(place) as archive:
        files = {each.name: archive.extractfile(each) for each in archive.getmembers()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    exported = json.loads(content["job.json"])
    assert exported["id"] == str(job) and exported["attempt_list"][0]["agent"] == "box"
    command = json.loads(content["commands.jsonl"])
    assert command["kind"] == "start_execution" and command["result"]["executed"]["commit"] == "abc"
    assert content["log.txt"].splitlines()[-1] == b"line 1202"
    assert content["artifacts/report.patch"] == b"--- a\n+++ b\n"
    assert json.loads(content["events.jsonl"].splitlines()[0])["type"] == "queued"
    assert "Removed" in (await shell.type("job", "remove", str(job), "--yes")).stdout
    await shell.type("job", "show", str(job), code=3)


async def test_files_are_shown_to_members_alone(
    database: Database,
    stack: str,
    environment: dict[str, str],
    owner: Person,
    job: uuid.UUID,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Over HTTP and as people type it."""
    page = (await owner.client.get(f"/api/jobs/{job}/artifacts")).json()
    [kept] = page["items"]
    assert (kept["name"], kept["bytes"], page["next_cursor"]) == ("report.patch", 12, None)
    for which in ("report.patch", kept["id"]):
        answer = await owner.client.get(f"/api/jobs/{job}/artifacts/{which}")
        assert (answer.status_code, answer.content) == (200, b"--- a\n+++ b\n")
        assert answer.headers["content-disposition"].startswith("attachment")
    missing = await owner.client.get(f"/api/jobs/{job}/artifacts/nothing")
    assert missing.status_code == 404 and "The job has no artifact" in missing.json()["detail"]
    async with somebody(stack) as stranger:
        assert (await stranger.client.get(f"/api/jobs/{job}/artifacts")).status_code == 404
        email = stranger.client.headers["X-User-Email"]
        who = Identity(uuid.uuid4(), email, stranger.organisation_id, (stranger.organisation_id,))
        with pytest.raises(NotFound):  # as wherever people sign in: of others' content nothing is read
            await JobViews(database, "USD").watched(who, job)
    shell = shell_of(monkeypatch, stack, owner.client.headers["X-User-Email"], environment["DATABASE_URL"])
    monkeypatch.chdir(tmp_path)
    shown = await shell.json("job", "artifacts", str(job))
    assert [each["name"] for each in shown["artifacts"]] == ["report.patch"]
    assert "report.patch" in (await shell.type("job", "artifacts", str(job))).stdout
    assert "12 bytes" in (await shell.type("job", "artifact", str(job), "report.patch")).stdout
    assert (tmp_path / "report.patch").read_bytes() == b"--- a\n+++ b\n"
    await shell.type("job", "artifact", str(job), "report.patch", code=2)  # it is there already
    await shell.type("job", "artifact", str(job), "nothing", "-O", "x", code=3)
    assert [each.name for each in tmp_path.iterdir()] == ["report.patch"]
