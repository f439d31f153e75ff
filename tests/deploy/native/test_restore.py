"""A restore brings the server's version and shards back with the data, even if it is killed at its last moment."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.deploy.backups.prove_backup import scratch_server
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.postgres_programs import wheel_postgres
from pavo.deploy.local.dumps import unfinished_restore as restoring
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.model import deployment
from pavo.deploy.model.layout import Layout
from pavo.deploy.rollout.upgrade import server_version
from tests.deploy.killed import decided, killed_restore
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import NEWEST, OLDEST, Native, deployed
from tests.faults.drive import Driver

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Old:
    """A backup of the oldest server with four shards, and a task in it that waits for its review."""

    place: Path
    task: str


@pytest_asyncio.fixture(scope="module")
async def old() -> AsyncGenerator[Old]:
    need_temporal(OLDEST)
    options = ("--temporal-version", OLDEST, "--shards", "4", "--workers", "1", "--no-temporal-ui")
    with tempfile.TemporaryDirectory(prefix="pavo-old-") as folder:
        Path(folder).chmod(0o755)
        async with deployed(Path(folder) / "data", *options) as native, Driver(native) as driver:
            task = await driver.create(3, 0.01, auto_accept=False)
            await driver.start(task)
            await driver.stage(task, "WAIT_RFC")
            await native.command("deploy", "backup", "--no-verify", "--output", f"{folder}/backup")
        yield Old(Path(folder) / "backup", task)


async def start(native: Native) -> tuple[str, int]:
    """Start it; the running server's version, and the shards that are remembered."""
    await native.command("deploy", "start", "--auto-approve")
    chosen = deployment.load(Layout(native.data_dir))
    assert chosen is not None and not chosen.restoring
    return await server_version(native.state.environment), chosen.shards


@pytest.mark.parametrize(("postgres", "points"), [("wheel", ["undecided", "half"]), ("outside", ["decided", "ended"])])
async def test_a_restore_that_is_killed_is_ended_by_the_next_start(
    place: Path, old: Old, postgres: str, points: list[str]
) -> None:
    need_temporal(NEWEST)
    (place / "outside").mkdir()
    async with scratch_server(place / "outside", wheel_postgres()) as server:
        where = server.url("postgres") if postgres == "outside" else "wheel"
        options = ("--temporal-version", NEWEST, "--shards", "8", "--workers", "1", "--no-temporal-ui")
        async with deployed(place / "data", "--postgres", where, *options) as native:
            for point in points:
                await native.command("deploy", "stop")
                await asyncio.to_thread(killed_restore, native.data_dir, old.place, point)
                plan = await native.command("deploy", "start", "--dry-run")
                assert ("an interrupted restore is ended" in plan) == (point != "undecided")
                assert await start(native) == ((NEWEST, 8) if point == "undecided" else (OLDEST, 4))
            async with Driver(native) as driver:
                await driver.accept(old.task)
                await driver.verify([old.task], 3)
            await native.command("validate")


async def test_nobody_works_on_a_data_directory_beside_a_restore(place: Path, old: Old) -> None:
    need_temporal(NEWEST)
    (place / "outside").mkdir()
    async with scratch_server(place / "outside", wheel_postgres()) as server:
        native, layout = Native(place / "data"), Layout(place / "data")
        layout.root.mkdir()
        chosen = deployment.Deployment(target=deployment.TargetName.NATIVE, postgres=server.url("postgres"))
        deployment.save(layout, chosen)
        with take_lock(layout):  # as a restore holds it, that may be paused and wake up later
            for words in (("restore", str(old.place)), ("start", "--no-temporal-ui")):
                done = await asyncio.to_thread(native.pavo, "deploy", *words, "--auto-approve", check=False)
                assert done.returncode == 4 and "runs on" in done.stderr, done.stderr
        assert deployment.load(layout) == chosen
        assert databases(server) == {"postgres", "template0", "template1"}


async def test_ending_it_twice_changes_nothing(place: Path) -> None:
    (place / "outside").mkdir()
    async with scratch_server(place / "outside", wheel_postgres()) as server:
        layout = Layout(place / "data")
        layout.root.mkdir()
        chosen = deployment.Deployment(target=deployment.TargetName.NATIVE, restoring=["temporal", "pavo"])
        with maintenance_connection(server, "postgres") as connection:
            for name in ("pavo", "pavo_restoring", "temporal"):  # Temporal's has its place already
                connection.execute(f"CREATE DATABASE {name}")
        with maintenance_connection(server, "pavo_restoring") as connection:
            connection.execute("CREATE TABLE restored (n int)")
        said: list[str] = []
        for _ in range(2):
            deployment.save(layout, chosen)
            restoring.finish(layout, server, said.append)
            assert not decided(layout)
            with maintenance_connection(server, "pavo") as connection:
                assert connection.execute("SELECT count(*) FROM restored").fetchone() == (0,)
        restoring.finish(layout, server, said.append)
        assert len(said) == 2 and databases(server) == {"postgres", "template0", "template1", "pavo", "temporal"}


def databases(server: DatabaseServer) -> set[str]:
    with maintenance_connection(server, "postgres") as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}
