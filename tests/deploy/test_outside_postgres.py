"""What Pavo does in somebody else's PostgreSQL, with no Temporal beside it."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from pavo.deploy.backups.prove_backup import scratch_server
from pavo.deploy.backups.restore_backup import restore_backup
from pavo.deploy.backups.take_backup import take_backup
from pavo.deploy.local.components import dev_server, temporal_schema
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.postgres_programs import wheel_postgres
from pavo.deploy.local.components.temporal_programs import TemporalPrograms
from pavo.deploy.model import deployment, state
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import PartState, StackState, Urls
from pavo.errors import Conflict, Unavailable
from pavo.kit.processes import ProcessIdentity

ADA = "CREATE ROLE ada LOGIN PASSWORD 'ada'"


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[DatabaseServer]:
    with tempfile.TemporaryDirectory(prefix="pavo-outside-") as folder:
        Path(folder).chmod(0o755)
        async with scratch_server(Path(folder), wheel_postgres()) as server:
            yield server


def program(folder: Path, command: str) -> Path:
    """A program that does this."""
    made = folder / "program"
    made.write_text(f"#!/bin/sh\n{command}\n")
    made.chmod(0o755)
    return made


def half_made(server: DatabaseServer) -> None:
    """As a killed set-up leaves it where the schema public is the administrator's, as before PostgreSQL 15."""
    with maintenance_connection(server, "postgres") as connection:
        connection.execute(ADA)
        connection.execute("CREATE DATABASE temporal OWNER ada")
        connection.execute("CREATE DATABASE temporal_visibility OWNER ada")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{temporal_schema.SETTING_UP}'")
    with maintenance_connection(server, "temporal") as connection:
        connection.execute("ALTER SCHEMA public OWNER TO pavo")
        connection.execute("CREATE TABLE left_over (n int)")


def tables(server: DatabaseServer) -> int:
    with maintenance_connection(server, "temporal") as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    return int(str(row[0])) if row else -1


async def test_half_made_is_made_anew_where_public_is_the_administrators(
    server: DatabaseServer, tmp_path: Path
) -> None:
    half_made(server)
    ada = DatabaseServer(server.host, server.port, "ada", "ada", "disable")
    failing = program(tmp_path, "echo no; exit 1")
    programs = TemporalPrograms(failing, failing, "1.32.1", "given")
    with pytest.raises(Conflict, match="must be owner") as refusal:
        temporal_schema.prepare(ada, programs)
    assert "ALTER SCHEMA public OWNER" in (refusal.value.remedy or "") and tables(server) == 1, "it may make no other"
    with maintenance_connection(server, "postgres") as connection:
        connection.execute("ALTER ROLE ada CREATEDB")
    with pytest.raises(Unavailable, match="setup-schema failed for temporal: no"):
        temporal_schema.prepare(ada, programs)
    assert tables(server) == 0
    assert temporal_schema.inspect(ada)["temporal"].condition is temporal_schema.Condition.HALF_MADE, (
        "its mark is there again"
    )


async def test_who_may_not_mark_an_update_is_told_what_to_do(server: DatabaseServer, tmp_path: Path) -> None:
    with maintenance_connection(server, "postgres") as connection:
        connection.execute(ADA)
    for name in temporal_schema.DATABASES:
        temporal_schema.make_database(server, name)
        with maintenance_connection(server, name) as connection:
            connection.execute("CREATE TABLE schema_version AS SELECT '1.1' AS curr_version")
            connection.execute("GRANT SELECT ON schema_version TO PUBLIC")
    ada = DatabaseServer(server.host, server.port, "ada", "ada", "disable")
    unused = program(tmp_path, "exit 1")
    with pytest.raises(Conflict, match="does not let ada set up the database temporal") as refusal:
        temporal_schema.update(ada, TemporalPrograms(unused, unused, "1.32.1", "given"))
    assert "ALTER DATABASE temporal OWNER TO" in (refusal.value.remedy or "")


async def test_a_tool_that_does_not_end_is_said(
    server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal_schema, "TOOL_SECONDS", 0.3)
    endless = program(tmp_path, "exec tail -f /dev/null")
    with pytest.raises(Unavailable, match=r"setup-schema did not end within 0\.3 s for temporal\. What was done"):
        temporal_schema.prepare(server, TemporalPrograms(endless, endless, "1.32.1", "given"))
    assert temporal_schema.inspect(server)["temporal"].condition is temporal_schema.Condition.HALF_MADE


def test_a_development_server_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev_server, "VERSION_SECONDS", 0.3)
    monkeypatch.setattr(dev_server, "temporal_server", lambda: program(tmp_path, "exec tail -f /dev/null"))
    with pytest.raises(Unavailable, match="does not tell its version"):
        dev_server.dev_server_versions()


@pytest.mark.parametrize(
    ("build", "command"),
    [("two", "--set-current two --take-over one"), ("", "--roll one"), ("one", "")],
)
async def test_a_restore_ends_orphans_forgets_programs_and_tells_who_takes_the_tasks(
    server: DatabaseServer, tmp_path: Path, build: str, command: str
) -> None:
    layout = Layout(tmp_path / "data")
    layout.root.mkdir()
    chosen = Deployment(
        target=TargetName.NATIVE, postgres=server.url("postgres"), temporal_version="1.30.7", worker_build="one"
    )
    deployment.save(layout, chosen)
    for name in ("pavo", "temporal", "temporal_visibility"):
        temporal_schema.make_database(server, name)
    with maintenance_connection(server, "pavo") as connection:  # the others hold nothing, which is a backup as well
        connection.execute("CREATE TABLE kept (n int)")
    said: list[str] = []
    place, _ = await take_backup(layout, tmp_path / "backup", verify=False, say=said.append)
    newer = {"temporal_version": "1.32.1", "temporal_bin": tmp_path, "worker_build": build}
    deployment.save(layout, chosen.model_copy(update=newer))
    said.clear()
    orphan = subprocess.Popen(["tail", "-f", "/dev/null"])
    try:
        left_behind(layout, orphan.pid)
        await restore_backup(layout, place, said.append)
        assert orphan.poll() == -9
    finally:
        orphan.kill()
        orphan.wait()
    assert deployment.load(layout) == chosen.model_copy(update={"worker_build": build})
    assert [line for line in said if "pavo deploy workers" in line] == (
        [f"  → Once it runs: pavo deploy workers {command}"] if command else []
    )


async def test_the_event_loop_goes_on_while_a_backup_is_taken(server: DatabaseServer, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    layout.root.mkdir()
    deployment.save(layout, Deployment(target=TargetName.NATIVE, postgres=server.url("postgres")))
    for name in ("pavo", "temporal", "temporal_visibility"):
        temporal_schema.make_database(server, name)
    async with await psycopg.AsyncConnection.connect(server.url("pavo")) as writer:
        await writer.execute("CREATE TABLE kept (n int)")
        await writer.commit()
        await writer.execute("INSERT INTO kept VALUES (1)")  # the backup waits until this is committed
        taking = asyncio.create_task(take_backup(layout, tmp_path / "backup", verify=False, say=lambda _line: None))
        while not taking.done() and not await waited_for(writer):
            await asyncio.sleep(0.02)
        await writer.commit()
    _, manifest = await taking
    assert manifest.databases["pavo"].rows == {"kept": 1}


async def waited_for(writer: psycopg.AsyncConnection) -> bool:
    """Whether somebody waits for a lock in the writer's database."""
    found = await (await writer.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")).fetchone()
    return found != (0,)


def left_behind(layout: Layout, pid: int) -> None:
    """The state of a supervisor that was killed, with a part that still runs."""
    found = ProcessIdentity.of(pid)
    assert found is not None
    part = PartState("worker-1", "ready", pid, "", 0, "", found.started)
    state.write(
        layout,
        StackState(ProcessIdentity(pid, "long ago"), True, False, str(layout.root), (part,), Urls("", "", "", ""), {}),
    )
