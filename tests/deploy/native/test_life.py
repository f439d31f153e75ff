"""A native deployment's life: proven, loaded, restarted part by part, backed up, stopped, restored."""

import asyncio
import itertools
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pavo.temporal.client import connect_to
from tests.deploy.native.conftest import need_installed_postgres, need_temporal
from tests.deploy.native.serving import ask
from tests.deploy.native.stack import BEFORE, NEWEST, Native, deployed
from tests.faults.drive import Driver, Viewer, seeded
from tests.faults.stack import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]
PARTS = ("postgres", "redis", "temporal", "api", "api-2", "worker-1", "worker-2")


async def test_its_plan_and_its_status(native: Native) -> None:
    async def well() -> bool:
        """Other tests of this deployment kill its parts: an API's first connection after that is of before."""
        nonlocal found
        done = await asyncio.to_thread(native.pavo, "deploy", "status", "-o", "json", check=False)
        found = json.loads(done.stdout)
        return done.returncode == 0

    found: dict[str, Any] = {}
    await until(well, 30, "a status without faults")
    assert found["target"] == "native"
    assert found["versions"]["temporal"] == NEWEST
    assert {part["name"] for part in found["parts"]} >= set(PARTS)
    assert all(part["state"] == "ready" for part in found["parts"])
    plan = native.pavo("deploy", "start", "--auto-approve", check=False)
    assert plan.returncode == 4, "a second start beside a running one"


async def test_validate_proves_it_and_reads_back_what_postgres_holds(native: Native) -> None:
    found = json.loads(await native.command("validate", "-o", "json"))
    assert all(check["status"] != "fail" for check in found["checks"]), found
    text = json.dumps(found)
    assert "PostgreSQL holds" in text


async def test_workflows_are_found_by_agent_and_task_in_temporal(native: Native) -> None:
    client = await connect_to(native.state.environment)
    async with Driver(native) as driver:
        task = await driver.create(2, 0.01)
        await driver.start(task)
        await driver.verify([task], 2)

        async def found() -> bool:
            return (await client.count_workflows(f"PavoTask = '{task}' AND PavoAgent = 'intern'")).count == 1

        await until(found, 30, "Temporal's list finds it")


async def test_tasks_live_through_the_restart_of_every_part(native: Native) -> None:
    rng = seeded("native restarts")
    async with Driver(native) as driver:
        ids = await asyncio.gather(*(driver.create(120, 0.1) for _ in range(20)))
        watching = [Viewer(driver, task, rng) for task in ids[:5]]
        await asyncio.gather(*(driver.start(task) for task in ids))
        for part in PARTS:
            await native.command("deploy", "restart", part)
        await driver.verify(ids, 120, watching, seconds=240)
    restarts = {part.name: part.restarts for part in native.state.parts}
    assert all(restarts[part] >= 1 for part in PARTS), restarts


async def test_two_workers_and_two_apis_share_the_load_and_one_of_each_may_die(native: Native) -> None:
    async with Driver(native) as driver:
        ids = await asyncio.gather(*(driver.create(100, 0.1) for _ in range(12)))
        await asyncio.gather(*(driver.start(task) for task in ids))

        async def both() -> bool:
            rows = await native.sql(
                "SELECT DISTINCT split_part(holder, ':', 2) FROM executions WHERE task_id = ANY(%s)", ids
            )
            pids = {str(native.part(name).pid) for name in ("worker-1", "worker-2")}
            return pids <= {row[0] for row in rows}

        await until(both, 60, "both workers hold tasks")
        await until_both_apis_answered(native, ids)
        for name in ("api", "worker-1"):
            pid = native.part(name).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        await driver.verify(ids, 100, seconds=120)


async def until_both_apis_answered(native: Native, tasks: list[str]) -> None:
    """The kernel says whose each connection was, and each process counted what it answered."""
    answered: Counter[int] = Counter()
    counted: dict[int, float] = {}
    seen: list[tuple[str, str]] = []
    pids = {native.part(name).pid for name in ("api", "api-2")}
    turn = itertools.cycle(tasks)

    async def both() -> bool:
        task = next(turn)
        answer = await asyncio.to_thread(ask, native, task)
        seen.append((task, answer.task["id"]))
        answered[answer.pid] += 1
        counted[answer.pid] = answer.answered
        return min(answered[pid] for pid in pids if pid) >= 3

    await until(both, 60, "both API processes answered requests")
    assert answered.keys() == pids and all(asked == got for asked, got in seen), seen
    assert all(counted[pid] >= answered[pid] for pid in answered), (counted, answered)


async def test_the_other_api_answers_while_one_is_away(native: Native) -> None:
    pid = native.part("api-2").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    answered = 0
    async with httpx2.AsyncClient(base_url=native.api, trust_env=False) as client:
        for _ in range(20):
            try:
                answered += (await client.get("/healthz")).is_success
            except httpx2.TransportError:
                continue
    assert answered >= 18


@pytest.mark.parametrize(("postgres", "temporal"), [("wheel", NEWEST), ("machine", BEFORE)])
async def test_other_versions(place: Path, postgres: str, temporal: str) -> None:
    need_temporal(temporal)
    if postgres == "machine":
        need_installed_postgres()
    options = ("--postgres", postgres, "--temporal-version", temporal, "--workers", "1", "--no-temporal-ui")
    async with deployed(place / "data", *options) as native, Driver(native) as driver:
        await native.command("validate")
        ids = await asyncio.gather(*(driver.create(60, 0.1) for _ in range(5)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        for part in ("temporal", "postgres"):
            await native.kill(part)
        await driver.verify(ids, 60, seconds=120)
