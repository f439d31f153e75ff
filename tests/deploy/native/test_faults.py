"""Temporal's server and PostgreSQL die at random under running tasks of a native deployment."""

import asyncio
import os
import signal

import pytest

from pavo.deploy.local.control import until_back
from tests.deploy.native.stack import Native
from tests.faults.drive import Driver, Viewer, seeded
from tests.faults.stack import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]
TASKS, STEPS = 20, 120


async def recorded(native: Native) -> int:
    """How many steps there are in all."""
    return int((await native.sql("SELECT coalesce(sum(step), 0) FROM executions"))[0][0])


async def test_temporal_and_postgres_die_at_random(native: Native) -> None:
    rng = seeded("native kills")
    victims = ["temporal", "postgres", *(rng.choice(("temporal", "postgres", "worker-1", "redis")) for _ in range(3))]
    async with Driver(native) as driver:
        ids = await asyncio.gather(*(driver.create(STEPS, 0.1) for _ in range(TASKS)))
        watching = [Viewer(driver, ids[n % TASKS], rng) for n in range(30)]
        await asyncio.gather(*(driver.start(task) for task in ids))
        for victim in victims:
            before = await recorded(native)

            async def moved(before: int = before) -> bool:
                return await recorded(native) > before

            await until(moved, 60, f"progress before {victim} dies")
            await asyncio.sleep(rng.uniform(0, 0.3))
            await native.kill(victim)
        await driver.verify(ids, STEPS, watching, seconds=240)
        print(f"killed {native.kills}, {driver.statuses}")
    assert sum(native.kills.values()) == len(victims)


async def test_both_die_at_the_same_time(native: Native) -> None:
    async with Driver(native) as driver:
        ids = await asyncio.gather(*(driver.create(60, 0.1) for _ in range(10)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        parts = [native.part(name) for name in ("temporal", "postgres")]
        for part in parts:
            assert part.pid is not None
            os.kill(part.pid, signal.SIGKILL)
        for part in parts:
            await until_back(native.data_dir, part)
        await driver.verify(ids, 60, seconds=120)
