"""The long run: `python -m tests.faults.soak --seed N --minutes M`. Every fault at random, for as long as one likes."""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.faults.drive import Driver, Viewer
from tests.faults.proxy import Mode
from tests.faults.rogues import install
from tests.faults.scenes import base_exceptions, blocked_loops, long_steps, slow_viewers, swapped_code
from tests.faults.stack import Stack, running_stack, until
from tests.faults.test_commands import (
    commands_without_a_worker,
    stop_and_resume,
    stop_and_resume_without_a_worker,
    storm,
)
from tests.faults.test_kill import PARTS, progress
from tests.faults.test_links import LINKS, MODES
from tests.faults.test_resources import exhausted_pool, locked_table
from tests.faults.test_rogues import rogues

TASKS, VIEWERS, STEPS = 20, 50, 150
Fault = Callable[[Stack, random.Random], Awaitable[str]]


async def kill(stack: Stack, rng: random.Random) -> str:
    """One part dies."""
    victim = rng.choice((*PARTS, "worker-2"))
    await stack.kill(victim)
    return f"kill {victim}"


async def pause(stack: Stack, rng: random.Random) -> str:
    """A worker is frozen past its heartbeat time-out."""
    worker = rng.choice([part for part in stack.workers if part.alive])
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(rng.uniform(1.2, 4))
    worker.send(signal.SIGCONT)
    return f"pause {worker.name}"


async def link(stack: Stack, rng: random.Random) -> str:
    """A link misbehaves until it did harm."""
    name, mode = rng.choice(LINKS), rng.choice(MODES)
    proxy = stack.links[name]
    await proxy.switch(mode)
    deadline = time.monotonic() + 15
    await asyncio.sleep(rng.uniform(0.5, 6))
    while proxy.hits == 0 and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    hits = proxy.hits
    await proxy.switch(Mode.PASS)
    return f"link {name} {mode}" if hits else f"none: {name} {mode} harmed nothing"


async def flush(stack: Stack, rng: random.Random) -> str:
    """Redis forgets everything."""
    from redis.asyncio import Redis

    client = Redis.from_url(stack.redis_url)
    try:
        await client.flushall()
    finally:
        await client.aclose()
    return "flushall"


FAULTS: tuple[Fault, ...] = (kill, kill, pause, link, link, flush)


async def long_lock(stack: Stack) -> None:
    """A lock that outlasts every limit."""
    await locked_table(stack, 30)


SCENES: tuple[Callable[[Stack], Awaitable[None]], ...] = (
    exhausted_pool,
    long_lock,
    rogues,
    base_exceptions,
    long_steps,
    swapped_code,
    slow_viewers,
    blocked_loops,
    commands_without_a_worker,
    stop_and_resume_without_a_worker,
)
"""One a round, in turn."""


async def round_of(stack: Stack, rng: random.Random, faults: int, injected: Counter[str]) -> None:
    """Tasks and viewers through `faults` faults, then the judgement."""
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(STEPS, 0.1) for _ in range(TASKS)))
        watching = [Viewer(driver, ids[n % TASKS], rng) for n in range(VIEWERS)]
        try:
            await asyncio.gather(*(driver.start(task) for task in ids))
            for _ in range(faults):
                await asyncio.sleep(rng.uniform(0, 2))
                what = await rng.choice(FAULTS)(stack, rng)
                injected[what] += 1
                if what.startswith("none"):  # an idle link: a kill keeps the promised number
                    injected[await kill(stack, rng)] += 1
                await stack.ready(120)
            await driver.verify(ids, STEPS, watching, seconds=300)
        finally:
            await asyncio.gather(*(viewer.cancel() for viewer in watching))


async def soak(seed: int, minutes: float) -> int:
    """Rounds until the time is over; the number of faults that were injected."""
    rng = random.Random(seed)
    injected: Counter[str] = Counter()
    wanted, until_time, number = 0, time.monotonic() + minutes * 60, 0
    async with running_stack(workers=2, prepare=install, env={"PAVO_AGENT_MEMORY_MB": "512"}) as stack:
        while time.monotonic() < until_time:
            number += 1
            faults = rng.randint(3, 8)
            wanted += faults
            await round_of(stack, rng, faults, injected)
            await stop_and_resume(stack, rng, 50)
            await storm(stack, rng, 1_000)
            await SCENES[number % len(SCENES)](stack)
            await until(lambda: progress(stack), 30, "the database answers")
            print(f"round {number}: {sum(injected.values())} faults so far", flush=True)
    for name, count in sorted(injected.items()):
        print(f"{count:5}  {name}")
    real = sum(count for name, count in injected.items() if not name.startswith("none"))
    print(f"seed {seed}: {number} rounds, {real} faults injected of {wanted}")
    if real < wanted:
        print("fewer faults did harm than were promised")
        return 1
    return 0


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return asyncio.run(soak(options.seed, options.minutes))


if __name__ == "__main__":
    sys.exit(main())
