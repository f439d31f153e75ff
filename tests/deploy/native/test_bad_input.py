"""What is wrong is said with its remedy, nothing is broken, and a second start goes on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.deploy import maintenance, schema
from pavo.deploy.components.database import DatabaseServer
from pavo.deploy.embedded import wheel_postgres
from pavo.deploy.ports import free_port
from pavo.deploy.temporal_programs import find_temporal
from pavo.errors import Conflict
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import NEWEST, Native, deployed, pavo
from tests.faults.stack import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
START = ("deploy", "start", "--target", "native", "--auto-approve", "--no-temporal-ui")


@pytest_asyncio.fixture
async def outside(place: Path) -> AsyncGenerator[DatabaseServer]:
    """Somebody else's PostgreSQL."""
    need_temporal(NEWEST)
    (place / "outside").mkdir()
    async with maintenance.scratch_server(place / "outside", wheel_postgres()) as server:
        yield server


def refused(data_dir: Path, *options: str, code: int) -> str:
    """The words with which a start is refused."""
    done = pavo(*START, *options, data_dir=data_dir, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def databases(server: DatabaseServer) -> set[str]:
    with schema.connect(server, "postgres") as connection:
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
    with schema.connect(outside, "postgres") as connection:
        connection.execute("CREATE DATABASE temporal")
    with schema.connect(outside, "temporal") as connection:
        connection.execute("CREATE TABLE invoices AS SELECT generate_series(1, 10) AS n")
    said = await asyncio.to_thread(refused, place / "d", "--postgres", outside.url("postgres"), code=4)
    assert "not empty" in said
    with schema.connect(outside, "temporal") as connection:
        assert connection.execute("SELECT count(*) FROM invoices").fetchone() == (10,)
    assert "temporal_visibility" not in databases(outside)


async def test_a_half_made_schema_is_made_anew_and_a_half_raised_one_taken_up(
    place: Path, outside: DatabaseServer
) -> None:
    programs = find_temporal(NEWEST)
    with schema.connect(outside, "postgres") as connection:  # as a start leaves it that dies in the middle
        connection.execute("CREATE DATABASE temporal")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{schema.SETTING_UP}'")
    with schema.connect(outside, "temporal") as connection:
        connection.execute("CREATE TABLE schema_version (version_partition int)")
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.HALF_MADE
    await asyncio.to_thread(schema.prepare, outside, programs)
    found = schema.inspect(outside)
    assert {each.version for each in found.values()} == set(schema.expected(NEWEST).values())

    with schema.connect(outside, "temporal") as connection:  # the last version's statements ran, its number is missing
        connection.execute("UPDATE schema_version SET curr_version = '1.18'")
        connection.execute(f"COMMENT ON DATABASE temporal IS '{schema.UPDATING}'")
    assert schema.inspect(outside)["temporal"].condition is schema.Condition.HALF_UPDATED
    done = await asyncio.to_thread(schema.prepare, outside, programs)
    assert done and schema.inspect(outside)["temporal"].version == "1.19"
    assert await asyncio.to_thread(schema.prepare, outside, programs) == []


async def test_a_schema_of_another_version_is_not_touched(place: Path, outside: DatabaseServer) -> None:
    programs = find_temporal(NEWEST)
    await asyncio.to_thread(schema.prepare, outside, programs)
    for version, remedy in (("1.18", "upgrade"), ("1.99", "newer server")):
        with schema.connect(outside, "temporal") as connection:
            connection.execute("UPDATE schema_version SET curr_version = %s", (version,))
        with pytest.raises(Conflict, match=version) as refusal:
            schema.prepare(outside, programs)
        assert remedy in (refusal.value.remedy or "")
        assert schema.inspect(outside)["temporal"].version == version


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
