"""What is wrong is said with its remedy, nothing is broken, and a second start goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from pavo.deploy.backups.prove_backup import scratch_server
from pavo.deploy.local.components import temporal_schema as schema
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.postgres_programs import wheel_postgres
from pavo.deploy.local.components.temporal_programs import TemporalPrograms, find_temporal
from pavo.deploy.local.machine.ports import free_port
from pavo.errors import Conflict
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import BEFORE, NEWEST, OLDEST, Native, deployed, pavo
from tests.faults.stack import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
START = ("deploy", "start", "--target", "native", "--auto-approve", "--no-temporal-ui")


@pytest_asyncio.fixture
async def outside(place: Path) -> AsyncGenerator[DatabaseServer]:
    """Somebody else's PostgreSQL."""
    need_temporal(NEWEST)
    (place / "outside").mkdir()
    async with scratch_server(place / "outside", wheel_postgres()) as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def scratch() -> AsyncGenerator[DatabaseServer]:
    """One PostgreSQL for cases that make their own databases in it."""
    with tempfile.TemporaryDirectory(prefix="pavo-schema-") as folder:
        Path(folder).chmod(0o755)
        async with scratch_server(Path(folder), wheel_postgres()) as server:
            yield server


def refused(data_dir: Path, *options: str, code: int) -> str:
    """The words with which a start is refused."""
    done = pavo(*START, *options, data_dir=data_dir, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def databases(server: DatabaseServer) -> set[str]:
    with maintenance_connection(server, "postgres") as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


async def test_a_wrong_password_and_a_closed_port(place: Path, outside: DatabaseServer) -> None:
    wrong = DatabaseServer(outside.host, outside.port, outside.user, "wrong").url("postgres")
    said = await asyncio.to_thread(refused, place / "d", "--postgres", wrong, code=2)
    assert ("refuses the login" in said and "--postgres" in said) or "password" in said
    closed = DatabaseServer("127.0.0.1", free_port(), "pavo", "x").url("postgres")
    said = await asyncio.to_thread(refused, place / "d", "--postgres", closed, code=5)
    assert "does not answer" in said
    assert not (place / "d").exists(), "nothing was made"
    assert databases(outside) == {"postgres", "template0", "template1"}


async def test_a_database_that_is_not_empty_is_left_alone(place: Path, outside: DatabaseServer) -> None:
    with maintenance_connection(outside, "postgres") as connection:
        connection.execute("CREATE DATABASE temporal")
    with maintenance_connection(outside, "temporal") as connection:
        connection.execute("CREATE TABLE invoices AS SELECT generate_series(1, 10) AS n")
    said = await asyncio.to_thread(refused, place / "d", "--postgres", outside.url("postgres"), code=4)
    assert "not empty" in said
    with maintenance_connection(outside, "temporal") as connection:
        assert connection.execute("SELECT count(*) FROM invoices").fetchone() == (10,)
    assert "temporal_visibility" not in databases(outside)


async def test_a_half_made_schema_is_made_anew_and_a_half_raised_one_taken_up(
    place: Path, outside: DatabaseServer
) -> None:
    programs = find_temporal(NEWEST)
    with maintenance_connection(outside, "postgres") as connection:  # as a start leaves it that dies in the middle
        connection.execute("CREATE DATABASE temporal")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{schema.SETTING_UP}'")
    with maintenance_connection(outside, "temporal") as connection:
        connection.execute("CREATE TABLE schema_version (version_partition int)")
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.HALF_MADE
    await asyncio.to_thread(schema.prepare, outside, programs)
    found = schema.inspect(outside)
    assert {each.version for each in found.values()} == set(schema.expected(NEWEST).values())

    with maintenance_connection(
        outside, "temporal"
    ) as connection:  # the last version's statements ran, its number is missing
        connection.execute("UPDATE schema_version SET curr_version = '1.18'")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{schema.UPDATING}'")
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.HALF_UPDATED
    done = await asyncio.to_thread(schema.prepare, outside, programs)
    assert done and schema.inspect(outside)["temporal"].version == "1.19"
    assert await asyncio.to_thread(schema.prepare, outside, programs) == []


def set_schema(server: DatabaseServer, version: str, mark: str) -> None:
    """Let Temporal's database say this of itself; an interrupted update leaves a mark."""
    with maintenance_connection(server, "temporal") as connection:
        connection.execute("UPDATE schema_version SET curr_version = %s", (version,))
        connection.execute(f"COMMENT ON DATABASE temporal IS '{mark}'")


OLDER = "Start the server that it belongs to"
NEWER = "Take the newer server it belongs to"


@pytest.mark.parametrize(
    ("server", "found", "mark", "remedy"),
    [
        (OLDEST, "1.18", "", ""),
        (OLDEST, "1.19", "", ""),  # raised by an upgrade whose new server was taken back
        (OLDEST, "1.20", "", NEWER),
        (OLDEST, "1.17", "", OLDER),
        (OLDEST, "1.18", schema.UPDATING, ""),  # half on its way to 1.19, which is a newer server's
        (OLDEST, "1.19", schema.UPDATING, ""),
        (OLDEST, "1.20", schema.UPDATING, NEWER),
        (BEFORE, "1.19", "", ""),
        (BEFORE, "1.18", "", OLDER),
        (NEWEST, "1.99", "", NEWER),  # of the newest server nothing newer is known
        ("1.29.1", "1.18", "", ""),
        ("1.29.1", "1.19", "", NEWER),
        ("1.28.1", "1.18", "", ""),
        ("1.27.0", "1.16", "", ""),  # a patch of its own minor raised it
        ("1.27.0", "1.18", "", NEWER),
        ("1.99.0", "1.99", "", ""),  # nobody knows: Temporal's own check decides
    ],
)
async def test_which_schema_a_server_is_started_on(
    scratch: DatabaseServer, server: str, found: str, mark: str, remedy: str
) -> None:
    versions = {"temporal_visibility": "1.14", **schema.expected(server), "temporal": found}
    with maintenance_connection(scratch, "postgres") as connection:
        for database in versions:
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(f"CREATE DATABASE {database}")
    for database, version in versions.items():
        with maintenance_connection(scratch, database) as connection:
            connection.execute("CREATE TABLE schema_version AS SELECT %s::text AS curr_version", (version,))
    set_schema(scratch, found, mark)
    no_tool = TemporalPrograms(Path("/nowhere"), Path("/nowhere"), server, "none")  # no tool may be run on any of these
    if remedy:
        with pytest.raises(Conflict, match=f"{found}; Temporal {server}") as refusal:
            schema.prepare(scratch, no_tool)
        assert (refusal.value.remedy or "").startswith(remedy)
    else:
        assert schema.prepare(scratch, no_tool) == []
    left = schema.inspect(scratch)["temporal"]
    assert left.version == found
    assert left.condition is (schema.Condition.HALF_UPDATED if mark else schema.Condition.THERE)


async def test_the_older_tool_never_works_on_a_raised_schema(outside: DatabaseServer) -> None:
    for version in (OLDEST, BEFORE):
        need_temporal(version)
    older, newer = find_temporal(OLDEST), find_temporal(BEFORE)
    await asyncio.to_thread(schema.prepare, outside, newer)
    set_schema(outside, "1.19", schema.UPDATING)
    assert await asyncio.to_thread(schema.prepare, outside, older) == []
    assert await asyncio.to_thread(schema.update, outside, older) == []
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.HALF_UPDATED, "the mark is the newer one's"
    assert await asyncio.to_thread(schema.update, outside, newer) == []
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.THERE

    set_schema(outside, "1.17", schema.UPDATING)  # on its way to the older server's schema: that is taken up by it
    assert await asyncio.to_thread(schema.prepare, outside, older) == ["temporal: schema 1.17 → 1.18"]
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.THERE


async def test_a_role_that_may_not_make_databases_sets_up_again_what_was_interrupted(
    place: Path, outside: DatabaseServer
) -> None:
    programs = find_temporal(NEWEST)
    with maintenance_connection(outside, "postgres") as connection:
        connection.execute("CREATE ROLE limited LOGIN PASSWORD 'secret'")
    limited = DatabaseServer(outside.host, outside.port, "limited", "secret", "disable")
    with pytest.raises(Conflict, match="set up the database temporal") as refusal:
        await asyncio.to_thread(schema.prepare, limited, programs)
    assert 'ALTER ROLE "limited" CREATEDB' in (refusal.value.remedy or "")
    said = await asyncio.to_thread(refused, place / "d", "--postgres", limited.url("postgres"), code=5)
    assert "set up the database pavo" in said and 'CREATE DATABASE pavo OWNER "limited"' in said

    with maintenance_connection(outside, "postgres") as connection:
        for name in schema.DATABASES:
            connection.execute(f"CREATE DATABASE {name} OWNER limited")
            connection.execute(f"COMMENT ON DATABASE {name} IS '{schema.SETTING_UP}'")
    with (
        pytest.raises(psycopg.errors.AdminShutdown),
        maintenance_connection(
            limited, "temporal"
        ) as left,  # the session of a killed set-up, which has not noticed its end
    ):
        left.execute("CREATE TABLE executions (wrong int)")
        left.execute("BEGIN")
        left.execute("LOCK TABLE executions")
        await asyncio.to_thread(schema.prepare, limited, programs)
        left.execute("SELECT 1")
    found = schema.inspect(limited)
    assert {name: (each.condition, each.version) for name, each in found.items()} == {
        name: (schema.Condition.THERE, version) for name, version in schema.expected(NEWEST).items()
    }


async def test_a_half_made_database_of_somebody_else_is_refused_with_the_remedy(outside: DatabaseServer) -> None:
    with maintenance_connection(outside, "postgres") as connection:
        connection.execute("CREATE ROLE limited LOGIN PASSWORD 'secret'")
        connection.execute("CREATE DATABASE temporal OWNER limited")
    with maintenance_connection(outside, "temporal") as connection:
        connection.execute("ALTER SCHEMA public OWNER TO pavo")  # as before PostgreSQL 15, where it is the server's own
        connection.execute("CREATE TABLE public.executions (half int)")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{schema.SETTING_UP}'")
    limited = DatabaseServer(outside.host, outside.port, "limited", "secret", "disable")
    with pytest.raises(Conflict, match="must be owner of schema public") as refusal:
        await asyncio.to_thread(schema.prepare, limited, find_temporal(NEWEST))
    assert 'ALTER SCHEMA public OWNER TO "limited"' in (refusal.value.remedy or "")
    assert schema.inspect(limited)["temporal"].condition is schema.Condition.HALF_MADE


def test_versions_that_are_known_bad_stop_and_unknown_ones_warn(place: Path) -> None:
    said = refused(place / "d", "--temporal-version", "1.24.2", code=2)
    assert "1.24.2" in said and "--force-version" in said
    said = refused(place / "d", "--temporal-version", "soon", code=2)
    assert "--temporal-version" in said and "not a version" in said
    said = refused(place / "d", "--postgres-version", "11", code=2)
    assert "not 11" in said
    said = refused(place / "d", "--workers", "0", code=2)
    assert "workers" in said
    planned = pavo(*START, "--dry-run", "--temporal-version", "1.24.2", "--force-version", data_dir=place / "d")
    assert "1.24.2" in planned.stdout
    planned = pavo(*START, "--dry-run", "--temporal-version", "1.29.1", data_dir=place / "d")
    assert "was not run" in " ".join(planned.stdout.split())
    assert not (place / "d").exists()


def test_a_postgres_out_of_support_stops_and_can_be_forced(place: Path) -> None:
    programs = place / "old" / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (programs / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 12.4'\n")
        (programs / name).chmod(0o755)
    said = refused(place / "d", "--postgres", str(place / "old"), code=2)
    assert "PostgreSQL 12: Out of support" in said and "--force-version" in said and "at --postgres-version" in said
    forced = pavo(*START, "--postgres", str(place / "old"), "--force-version", "--dry-run", data_dir=place / "d")
    assert "PostgreSQL 12: Out of support" in forced.stdout


async def test_an_interrupted_start_goes_on(place: Path) -> None:
    need_temporal(NEWEST)
    data = place / "data"
    words = [sys.executable, "-m", "pavo.cli.main", *START, "--port", str(free_port()), "--data-dir", str(data)]
    for moment in ("PG_VERSION", "temporal-server"):  # the cluster is just made; the schema is being set up
        with subprocess.Popen(
            [*words, "--foreground"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as start:

            async def there(moment: str = moment) -> bool:
                return any(data.rglob(moment))

            await until(there, 60, f"{moment} appears")
            os.killpg(start.pid, signal.SIGKILL)
    async with deployed(data, "--no-temporal-ui", "--workers", "1") as native:
        await native.command("validate")
        chosen = native.pavo("deploy", "start", "--shards", "4", "--dry-run", check=False)
        assert chosen.returncode == 4 and "shards" in chosen.stderr


async def test_an_outside_postgres_serves_and_keeps_its_databases(place: Path, outside: DatabaseServer) -> None:
    options = ("--postgres", outside.url("postgres"), "--workers", "1", "--no-temporal-ui")
    async with deployed(place / "data", *options) as native:
        assert "postgres" not in {part.name for part in native.state.parts}
        await native.command("validate")
        secret = outside.password
        assert secret not in native.pavo("deploy", "status", "-o", "json").stdout
    assert {"pavo", "temporal", "temporal_visibility"} <= databases(outside)


async def test_a_password_from_the_environment_is_in_no_process_list(
    place: Path, outside: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = f"postgresql://{outside.user}@{outside.host}:{outside.port}/postgres?sslmode=disable"
    said = await asyncio.to_thread(refused, place / "data", "--postgres", login, code=2)
    assert "PGPASSWORD" in said
    monkeypatch.setenv("PGPASSWORD", outside.password)
    seen: set[str] = set()
    starting = asyncio.create_task(_started(place / "data", "--postgres", login, "--workers", "1"))
    while not starting.done():
        seen |= command_lines()
        await asyncio.sleep(0.02)
    native = await starting
    try:
        seen |= command_lines()
        assert any(login in line for line in seen) and any("temporal-sql-tool" in line for line in seen)
        assert not [line for line in seen if outside.password in line]
        monkeypatch.delenv("PGPASSWORD")
        await native.command("deploy", "stop")
        await native.command("deploy", "start", "--auto-approve")
        await native.command("validate")
    finally:
        await native.command("deploy", "destroy", "--auto-approve")


async def _started(data: Path, *options: str) -> Native:
    native = Native(data)
    await native.command(*START, "--port", str(free_port()), *options)
    return native


def command_lines() -> set[str]:
    """What everybody on this machine sees of every process."""
    done = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


async def test_a_full_disk_is_survived(place: Path) -> None:
    need_temporal(NEWEST)
    mount = place / "small"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(mount)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        mount.chmod(0o755)
        async with deployed(mount / "data", "--workers", "1", "--no-temporal-ui", "--shards", "4") as native:
            filler = mount / "filler"
            with filler.open("wb") as file, pytest.raises(OSError, match="space"):
                while True:
                    file.write(b"\0" * 1_000_000)
                    file.flush()
            backup = native.pavo("deploy", "backup", "--output", str(mount / "b"), check=False)
            assert backup.returncode != 0 and "Traceback" not in backup.stderr
            filler.unlink()
            await until(lambda: asyncio.to_thread(_valid, native), 90, "it works again")
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def _valid(native: Native) -> bool:
    return native.pavo("validate", check=False).returncode == 0


def test_wrong_names_are_told(place: Path) -> None:
    done = pavo("deploy", "status", data_dir=place / "none", check=False)
    assert done.returncode == 3
    done = pavo("deploy", "start", data_dir=place / "none", check=False)
    assert done.returncode == 2 and "--target" in done.stderr
    done = pavo("deploy", "restore", str(place), "--auto-approve", data_dir=place / "none", check=False)
    assert done.returncode == 2
    done = pavo("deploy", "start", "--target", "native", "--postgres", "/nowhere", data_dir=place / "none", check=False)
    assert done.returncode == 2 and "/nowhere" in done.stderr
