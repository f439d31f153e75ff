"""A backup of an embedded stack at work: of one moment, proven, and taken back."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from pavo.deploy.local.dumps import database_dump as backup
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError, NotFound
from tests.deploy.killed import decided, killed_restore
from tests.deploy.native.stack import Native
from tests.faults.drive import Driver
from tests.faults.stack import until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def stack() -> Iterator[Native]:
    """A stack of `pavo up`, which is the embedded target."""
    with tempfile.TemporaryDirectory(prefix="pavo-backup-") as folder:
        Path(folder).chmod(0o755)
        found = Native(Path(folder) / "data")
        found.pavo("up", "--port", "0", "--detach")
        try:
            yield found
        finally:
            found.pavo("down")
            found.pavo("reset", "--yes")


@pytest.mark.fault  # the stack is ended, and its data are exchanged under its tasks
async def test_tasks_go_on_from_the_moment_of_the_backup(stack: Native) -> None:
    place = stack.data_dir.parent / "backup"
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(80, 0.1) for _ in range(8)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        for task in ids:
            await driver.wait(task, lambda view: view["steps"] > 5, "steps")
        await stack.command("deploy", "backup", "--output", str(place))
        manifest = backup.read_manifest(place)
        assert manifest.verified and set(manifest.databases) == {"pavo", "temporal"}
        assert manifest.databases["pavo"].rows["tasks"] == 8
        await driver.verify(ids, 80)
        assert stack.pavo("deploy", "restore", str(place), "--auto-approve", check=False).returncode == 4

        await stack.command("down")
        await stack.command("deploy", "restore", str(place), "--auto-approve")
        await stack.command("up", "--port", "0", "--detach")
    async with Driver(stack) as driver:  # its port is another one now
        await driver.verify(ids, 80)


async def workflows(stack: Native) -> set[str]:
    """Ids of all that Temporal holds open."""
    client = await Client.connect(stack.state.environment["TEMPORAL_ADDRESS"])
    return {each.id async for each in client.list_workflows("ExecutionStatus = 'Running'")}


@pytest.mark.fault
async def test_a_restore_that_is_killed_leaves_the_old_or_the_new_and_the_next_start_ends_it(stack: Native) -> None:
    place = stack.data_dir.parent / "backup"

    async def waiting() -> str:
        async with Driver(stack) as driver:  # its port is another one after each start
            task = await driver.create(2, 0.01, auto_accept=False)
            await driver.start(task)
            await driver.stage(task, "WAIT_RFC")
            return task

    first = await waiting()
    await stack.command("deploy", "backup", "--no-verify", "--output", str(place))
    for point in ("undecided", "decided", "one file", "ended", "undecided again"):
        later = await waiting()
        held = await workflows(stack)
        await stack.command("down")
        if point == "undecided again":  # the second one ends the first, and then decides nothing of its own
            await asyncio.to_thread(killed_restore, stack.data_dir, place, "decided")
        await asyncio.to_thread(killed_restore, stack.data_dir, place, point)
        assert decided(Layout(stack.data_dir)) == (not point.startswith("undecided"))
        if point == "decided":
            plan = await stack.command("deploy", "start", "--target", "embedded", "--dry-run")
            assert "an interrupted restore is ended: pavo" in plan
        await stack.command("up", "--port", "0", "--detach")
        assert not decided(Layout(stack.data_dir))
        databases = {str(row[0]) for row in await stack.sql("SELECT datname FROM pg_database")}
        assert not {name for name in databases if "restoring" in name}, point
        assert not list(stack.data_dir.rglob(".restoring.db")), point
        tasks = {str(row[0]) for row in await stack.sql("SELECT id FROM tasks")}
        assert tasks == ({first, later} if point == "undecided" else {first}), point

        async def fits(point: str = point, held: set[str] = held) -> bool:
            found = await workflows(stack)
            return found == held if point == "undecided" else len(found) == 1 and found < held

        await until(fits, 30, f"{point}: Temporal's workflows are of the same moment")
    async with Driver(stack) as driver:
        await driver.accept(first)
        await driver.verify([first], 2)


def test_a_backup_that_was_changed_or_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no whole backup"):
        backup.read_manifest(tmp_path)
    (tmp_path / "pavo.dump").write_bytes(b"x")
    described = {
        "taken_at": "2026-11-21T00:00:00Z",
        "target": "native",
        "temporal_version": "1.32.1",
        "postgres_version": "18",
        "shards": 4,
        "locked_ms": 1,
        "databases": {"pavo": {"file": "pavo.dump", "sha256": "0" * 64, "rows": {}}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(described))
    with pytest.raises(ConfigurationError, match="is not what was backed up"):
        backup.read_manifest(tmp_path)


def test_nothing_to_back_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", "deploy", "backup", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "There is no" in done.stderr


def test_pavo_up_leaves_another_targets_data_alone(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text('{"target": "native"}')
    done = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", "up", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4 and "deployed as native" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["deployment.json"]
