"""From an older Temporal to the newest, minor by minor, with tasks in flight; and back from a backup."""

import asyncio
import json
from pathlib import Path

import pytest

from pavo.deploy.local.components import temporal_schema as schema
from pavo.deploy.local.components.temporal_programs import find_temporal
from pavo.deploy.local.native import database_server
from pavo.deploy.model import deployment
from pavo.deploy.model.layout import Layout
from pavo.deploy.rollout.upgrade import server_version
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import BEFORE, NEWEST, OLDEST, Native, deployed
from tests.faults.drive import Driver, Viewer, check_timeline, seeded

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]
TASKS, STEPS = 20, 300


def schemas(native: Native) -> dict[str, str]:
    """What PostgreSQL says of Temporal's schemas."""
    layout = Layout(native.data_dir)
    chosen = deployment.load(layout)
    assert chosen is not None
    return {each.database: each.version for each in schema.inspect(database_server(layout, chosen)).values()}


async def test_twenty_tasks_live_through_two_minors_and_a_restored_backup(place: Path) -> None:
    for version in (OLDEST, BEFORE, NEWEST):
        need_temporal(version)
    rng = seeded("upgrade")
    options = ("--temporal-version", OLDEST, "--workers", "2", "--no-temporal-ui")
    async with deployed(place / "data", *options) as native, Driver(native) as driver:
        assert schemas(native) == schema.expected(OLDEST)
        waiting = [await driver.create(5, 0.05, auto_accept=False) for _ in range(3)]
        ids = await asyncio.gather(*(driver.create(STEPS, 0.1) for _ in range(TASKS)))
        watching = [Viewer(driver, ids[n], rng) for n in range(TASKS)]
        await asyncio.gather(*(driver.start(task) for task in (*ids, *waiting)))
        for task in waiting:
            await driver.stage(task, "WAIT_RFC")

        said = await native.command("deploy", "upgrade", "--worker-build", "next", "--auto-approve")

        assert f"{OLDEST} → {BEFORE} → {NEWEST}" in said, said
        assert schemas(native) == schema.expected(NEWEST) != schema.expected(OLDEST)
        assert await server_version(native.state.environment) == NEWEST
        assert json.loads(await native.command("deploy", "workers", "-o", "json"))["current"] == "next"
        for task in waiting:
            await driver.accept(task)
        await driver.verify(ids, STEPS, watching, seconds=240)
        await driver.verify(waiting, 5)
        again = await native.command("deploy", "upgrade", "--auto-approve", "--no-backup")
        assert "stays" in again

        # The backup was taken in mid-run, of the oldest server: it goes back to that moment, and on from there.
        backup = next((native.data_dir / "backups").iterdir())
        manifest = json.loads((backup / "manifest.json").read_text())
        assert manifest["verified"] and manifest["temporal_version"] == OLDEST
        runs = native.pavo("deploy", "restore", str(backup), "--auto-approve", check=False)
        assert runs.returncode == 4, "a running deployment is not overwritten"
        await native.command("deploy", "stop")
        await native.command("deploy", "restore", str(backup), "--auto-approve")
        await native.command("deploy", "start", "--auto-approve")
        assert await server_version(native.state.environment) == OLDEST
        await driver.verify(ids, STEPS, seconds=240)
        for task in waiting:
            assert (await driver.get(task))["stage"] == "WAIT_RFC"
            await driver.accept(task)
        await driver.verify(waiting, 5)


def broken_server(folder: Path, version: str, sql_tool: Path | None = None) -> Path:
    """Programs that say they are this version: a server that ends at once, beside the given tool or one that does
    nothing."""
    folder.mkdir()
    does = {"temporal-server": "exit 3", **({} if sql_tool else {"temporal-sql-tool": "exit 0"})}
    for name, line in does.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "temporal version {version}" && exit 0\n{line}\n')
        program.chmod(0o755)
    if sql_tool:
        (folder / "temporal-sql-tool").symlink_to(sql_tool)
    return folder


async def test_a_server_that_does_not_start_is_taken_back(place: Path) -> None:
    need_temporal(BEFORE)
    need_temporal(NEWEST)
    broken = broken_server(place / "broken", NEWEST)
    options = ("--temporal-version", BEFORE, "--workers", "1", "--no-temporal-ui")
    async with deployed(place / "data", *options) as native, Driver(native) as driver:
        task = await driver.create(200, 0.1)
        await driver.start(task)
        done = await asyncio.to_thread(
            native.pavo,
            "deploy",
            "upgrade",
            "--temporal-bin",
            str(broken),
            "--no-backup",
            "--auto-approve",
            check=False,
        )
        assert done.returncode == 5 and "taken back" in " ".join(done.stderr.split()), done.stderr
        assert await server_version(native.state.environment) == BEFORE
        down = native.pavo("deploy", "upgrade", "--temporal-version", OLDEST, "--auto-approve", check=False)
        assert down.returncode == 2 and "cannot go back" in down.stderr
        await driver.verify([task], 200)
        check_timeline(task, await driver.events(task), 200)


async def test_a_server_that_does_not_start_is_taken_back_and_runs_on_the_raised_schema(place: Path) -> None:
    for version in (OLDEST, BEFORE):
        need_temporal(version)
    broken = broken_server(place / "broken", BEFORE, find_temporal(BEFORE).sql_tool)
    options = ("--temporal-version", OLDEST, "--workers", "1", "--no-temporal-ui")
    upgrade = ("deploy", "upgrade", "--no-backup", "--auto-approve", "--temporal-version")

    async with deployed(place / "data", *options) as native, Driver(native) as driver:
        task = await driver.create(STEPS, 0.1)
        await driver.start(task)
        assert schemas(native) == schema.expected(OLDEST) != schema.expected(BEFORE)
        done = await asyncio.to_thread(native.pavo, *upgrade, BEFORE, "--temporal-bin", str(broken), check=False)
        assert done.returncode == 5 and "taken back" in " ".join(done.stderr.split()), done.stderr
        assert schemas(native) == schema.expected(BEFORE), "the schema was raised"
        assert await server_version(native.state.environment) == OLDEST

        await native.command("deploy", "stop")
        await native.command("deploy", "start", "--auto-approve")
        assert await server_version(native.state.environment) == OLDEST
        await native.command("validate")
        checked = json.loads(await native.command("deploy", "check", "-o", "json"))
        found = {line["name"]: line["detail"] for line in checked["checks"]}
        assert found["temporal's schema"] == f"1.19, raised beyond the 1.18 of Temporal {OLDEST}"
        assert found["visibility's schema"] == f"1.14, raised beyond the 1.13 of Temporal {OLDEST}"
        down = native.pavo(*upgrade, "1.29.1", check=False)
        assert down.returncode == 2 and "cannot go back" in down.stderr
        assert schemas(native) == schema.expected(BEFORE)

        await native.command(*upgrade, BEFORE)
        assert await server_version(native.state.environment) == BEFORE
        assert schemas(native) == schema.expected(BEFORE)
        await driver.verify([task], STEPS, seconds=120)
