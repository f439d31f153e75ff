"""A backup of an embedded stack at work: of one moment, proven, and taken back."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pavo.deploy import backup
from pavo.errors import ConfigurationError, NotFound
from tests.deploy.native.stack import Native
from tests.faults.drive import Driver

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
