"""New builds of the workers on a native deployment with tasks in flight; proven and checked before and after."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import BEFORE, Native, deployed
from tests.faults.drive import Driver

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]
TASKS, STEPS = 20, 200


async def workers(native: Native, *words: str) -> dict[str, object]:
    return json.loads(await native.command("deploy", "workers", *words, "-o", "json"))


async def test_builds_are_rolled_out_under_twenty_tasks_and_none_is_lost(native: Native) -> None:
    async with Driver(native) as driver:
        waiting = [await driver.create(5, 0.05, auto_accept=False) for _ in range(5)]
        ids = await asyncio.gather(*(driver.create(STEPS, 0.1) for _ in range(TASKS - 5)))
        await asyncio.gather(*(driver.start(task) for task in (*ids, *waiting)))
        for task in waiting:
            await driver.stage(task, "WAIT_RFC")
        checked = json.loads(await native.command("deploy", "check", "-o", "json"))
        assert checked["ok"] and checked["histories"]["looked_at"] >= TASKS and not checked["histories"]["broken"]
        assert {line["status"] for line in checked["checks"]} <= {"pass", "warn"}

        for build in ("one", "two"):  # the first one takes over what has no version
            rolled = await workers(native, "--roll", build)
            assert rolled["current"] == build and rolled["left"] == {}
        for task in waiting:
            await driver.accept(task)
        await driver.verify(ids, STEPS, seconds=240)
        await driver.verify(waiting, 5)
    checked = json.loads(await native.command("deploy", "check", "-o", "json"))
    assert checked["ok"]
    assert "current two" in next(line["detail"] for line in checked["checks"] if line["name"] == "worker versions")


async def test_nothing_is_lost_across_a_restart_of_the_servers(native: Native) -> None:
    found = json.loads(await native.command("validate", "--across-restart", "--repeat", "3", "-o", "json"))
    lines = {check["name"]: check for check in found["checks"]}
    assert found["ok"], lines
    assert "PostgreSQL holds executions 2" in lines["temporal's database"]["detail"]
    assert lines["run in flight"]["status"] == lines["earlier histories"]["status"] == "pass"


async def test_a_build_that_does_not_start_is_taken_back(native: Native) -> None:
    before = (await workers(native))["current"]
    said = await asyncio.to_thread(native.pavo, "deploy", "workers", "--roll", "no:colons", check=False)
    assert said.returncode not in (0, 1) and "Traceback" not in said.stderr
    assert (await workers(native))["current"] == before
    found = json.loads(await native.command("validate", "-o", "json"))
    assert found["ok"] and all(part.state == "ready" for part in native.state.parts)


async def test_one_worker_on_an_older_temporal_hands_its_tasks_over(place: Path) -> None:
    need_temporal(BEFORE)
    options = ("--temporal-version", BEFORE, "--workers", "1", "--no-temporal-ui")
    async with deployed(place / "data", *options) as native, Driver(native) as driver:
        waiting = await driver.create(5, 0.05, auto_accept=False)
        executing = await driver.create(STEPS, 0.1)
        await asyncio.gather(driver.start(waiting), driver.start(executing))
        await driver.stage(waiting, "WAIT_RFC")
        for build in ("one", "two"):
            rolled = await workers(native, "--roll", build)
            assert rolled["current"] == build and rolled["left"] == {}
        await driver.accept(waiting)
        await driver.verify([executing], STEPS, seconds=120)
        await driver.verify([waiting], 5)
