"""SIGKILL, SIGSTOP and lost data while tasks run: each step once, each viewer sees each event once."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.faults.drive import Driver, Viewer, check_timeline, seeded
from tests.faults.stack import Part, Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
PARTS = ("worker-1", "api", "temporal", "postgres", "redis")


async def kill_while_running(
    stack: Stack, rng: random.Random, victims: list[str], *, tasks: int, viewers: int, steps: int, seconds: float
) -> None:
    """Kill `victims` one after the other, spread over the run, then judge."""
    before = dict(stack.kills)
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(steps, seconds) for _ in range(tasks)))
        watching = [Viewer(driver, ids[n % tasks], rng) for n in range(viewers)]
        try:
            await asyncio.gather(*(driver.start(task) for task in ids))
            for victim in victims:
                before_kill = await progress(stack)
                await until(lambda b=before_kill: moved(stack, b), 60, f"progress before {victim} dies")
                await asyncio.sleep(rng.uniform(0, 0.3))
                await stack.kill(victim)
                await stack.ready()
            await driver.verify(ids, steps, watching)
            killed = sum(stack.kills.values()) - sum(before.values())
            reconnects = sum(viewer.connects - 1 for viewer in watching)
            print(f"killed {killed} of {len(victims)}, viewers reconnected {reconnects} times, {driver.statuses}")
            assert killed == len(victims)
            assert reconnects >= viewers
        finally:
            await asyncio.gather(*(viewer.cancel() for viewer in watching))


async def progress(stack: Stack) -> int:
    """How many steps are recorded in all."""
    return int((await stack.sql("SELECT coalesce(sum(step), 0) FROM executions"))[0][0])


async def moved(stack: Stack, before: int) -> bool:
    return await progress(stack) > before


async def test_each_part_dies_alone(stack: Stack) -> None:
    await kill_while_running(stack, seeded("kill each"), list(PARTS), tasks=20, viewers=50, steps=80, seconds=0.1)


async def test_parts_die_at_random(stack: Stack) -> None:
    rng = seeded("kill at random")
    victims = [rng.choice(PARTS) for _ in range(3)]
    await kill_while_running(stack, rng, victims, tasks=20, viewers=50, steps=80, seconds=0.1)


async def test_redis_loses_everything_and_goes_away(stack: Stack) -> None:
    rng = seeded("redis")
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(60, 0.05) for _ in range(5)))
        watching = [Viewer(driver, ids[n % 5], rng) for n in range(10)]
        await asyncio.gather(*(driver.start(task) for task in ids))
        redis = Redis.from_url(stack.redis_url)
        for _ in range(3):
            before = await progress(stack)
            await redis.flushall()
            await until(lambda b=before: moved(stack, b), 60, "progress after FLUSHALL")
        await redis.aclose()
        await stack.down("redis")
        before = await progress(stack)
        await until(lambda: moved(stack, before + 20), 60, "progress without redis")
        seen = sum(len(viewer.seen) for viewer in watching)

        async def more() -> bool:
            return sum(len(viewer.seen) for viewer in watching) > seen

        await until(more, 60, "viewers see events without redis")
        await stack.up("redis")
        await driver.verify(ids, 60, watching)


async def test_a_zombie_writes_nothing(two_workers: Stack) -> None:
    stack = two_workers
    rng = seeded("zombie")
    everything: list[str] = []
    async with Driver(stack) as driver:
        for worker in stack.workers:
            # Work of its own for each pause: what an earlier one left may be done by now.
            ids = await asyncio.gather(*(driver.create(100, 0.05) for _ in range(10)))
            watching = [Viewer(driver, task, rng) for task in ids]
            await asyncio.gather(*(driver.start(task) for task in ids))
            mine = await until(lambda ids=ids, worker=worker: held_by(stack, worker, ids), 60, "a lease of its own")
            async with paused(worker):

                async def taken_over(mine: dict[str, int] = mine) -> bool:
                    rows = await stack.sql("SELECT task_id::text, epoch, step FROM executions")
                    return all(row[1] > mine[row[0]] or row[2] == 100 for row in rows if row[0] in mine)

                await until(taken_over, 60, "the other worker takes over")
            await driver.verify(ids, 100, watching)
            everything += ids
        timelines = [await driver.events(task) for task in everything]
        recovered = sum(event["type"] == "recovered" for events in timelines for event in events)
        print(f"{recovered} takeovers")
        assert recovered >= 1


async def held_by(stack: Stack, worker: Part, ids: Sequence[str]) -> dict[str, int]:
    """Those of the tasks that this worker has recorded steps of and holds now, with their leases' epochs."""
    rows = await stack.sql(
        "SELECT task_id::text, epoch FROM executions WHERE holder LIKE %s AND step > 3 AND step < 80",
        f"%:{worker.pid}:%",
    )
    return {task: epoch for task, epoch in rows if task in ids}


@asynccontextmanager
async def paused(worker: Part) -> AsyncIterator[None]:
    """SIGSTOP, and SIGCONT whatever happens: others use this stack afterwards."""
    worker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.send(signal.SIGCONT)


async def test_no_step_after_a_stop_that_a_zombie_slept_through(two_workers: Stack) -> None:
    stack = two_workers
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(2000, 0.02) for _ in range(4)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        for task in ids:
            await driver.wait(task, lambda view: view["steps"] > 3, "steps")
        async with paused(stack.workers[0]):
            answers = await asyncio.gather(*(driver.stop(task) for task in ids))
            for task in ids:
                await driver.stage(task, "STOPPED")
            before = {task: await driver.events(task) for task in ids}
        # The zombie works off what it slept through; its log tells when.
        other = await driver.create(5, 0.05)
        await driver.start(other)
        await driver.verify([other], 5)
        await asyncio.sleep(3)  # long enough for its step and its commit: silence is what is tested
        for task, answer in zip(ids, answers, strict=True):
            events = await driver.events(task)
            assert events == before[task], "something was written after the stop"
            steps = check_timeline(task, events, None)
            if answer.status_code == 200:
                assert answer.json()["last_step"] == len(steps)
        print([answer.status_code for answer in answers])
