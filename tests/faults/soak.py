"""The long run: `make soak`, or `python -m tests.faults.soak --seed N --minutes M`.

Rounds of tasks and viewers under faults at random, each followed by commands and by two scenes, in turn. It ends after
its minutes, but one of ten and more not before each scene was played: a part that does not come to its end in time
fails it. The summary says what was done, and the exit code whether all of it was well. With `--examples 200` the tests
of properties play so many examples each, afterwards.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.drive import Driver, Viewer
from tests.faults.fleet import PROPERTIES, queue_and_fleet
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
PART_SECONDS = 600.0
"""For a round, a storm of commands or a scene; each takes one or two minutes."""
WHOLE_MINUTES = 10.0
"""A soak of so many plays each scene."""
REASON_CHARACTERS = 600
Fault = Callable[[Stack, random.Random], Awaitable[str]]
Scene = Callable[[Stack], Awaitable[None]]


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


BY_AGENTS: tuple[Scene, ...] = (base_exceptions, long_steps, swapped_code, slow_viewers, blocked_loops)
"""What agents and viewers do; one a round, in turn."""
BY_OTHERS: tuple[Scene, ...] = (
    rogues,
    commands_without_a_worker,
    long_lock,
    stop_and_resume_without_a_worker,
    exhausted_pool,
    queue_and_fleet,
)
"""One more a round, in turn."""


@dataclass
class Record:
    """What was done so far."""

    begun: float = field(default_factory=time.monotonic)
    rounds: int = 0
    wanted: int = 0
    injected: Counter[str] = field(default_factory=Counter[str])
    parts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Seconds of each time that a part of a round came to its end, by its name."""
    failed: str | None = None
    """The part that was not well, and why."""

    @property
    def faults(self) -> int:
        """How many did harm."""
        return sum(count for name, count in self.injected.items() if not name.startswith("none"))

    def goes_on(self, minutes: float) -> bool:
        """Whether one more round is to come."""
        unplayed = self.rounds < max(len(BY_AGENTS), len(BY_OTHERS))
        return time.monotonic() < self.begun + minutes * 60 or (minutes >= WHOLE_MINUTES and unplayed)

    @asynccontextmanager
    async def part(self, name: str) -> AsyncGenerator[None]:
        """Takes the time of a part of a round, and ends one that does not end."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PART_SECONDS):
                yield
        except BaseException as error:
            late = f"it did not end within {PART_SECONDS:g} s" if isinstance(error, TimeoutError) else ""
            reason = str(error) or late or type(error).__name__
            self.failed = f"{name}: {reason[:REASON_CHARACTERS]}"
            raise
        seconds = time.monotonic() - begun
        self.parts.setdefault(name, []).append(seconds)
        print(f"  {name:<40} {seconds:5.0f} s   load {os.getloadavg()[0]:.1f}", flush=True)

    def summary(self, seed: int) -> str:
        """For people, at most 80 columns wide but for a reason."""
        well = "FAILED" if self.failed else "passed"
        minutes, seconds = divmod(round(time.monotonic() - self.begun), 60)
        lines = [f"The soak {well}: whole rounds: {self.rounds}, in {minutes} min {seconds} s, seed {seed}"]
        if self.failed:
            lines += ["", self.failed, f"Again: make soak ARGS='--seed {seed}'"]
        lines += ["", f"{self.faults} faults did harm; {self.wanted} were promised"]
        lines += [f"{count:6}  {name}" for name, count in sorted(self.injected.items())]
        lines += ["", " times  longest"]
        lines += [f"{len(taken):6}  {max(taken):5.0f} s  {name}" for name, taken in self.parts.items()]
        return "\n".join(lines)


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


async def soak(record: Record, rng: random.Random, minutes: float) -> None:
    """Rounds until the time is over; a round that has begun comes to its end."""
    async with running_stack(workers=2, prepare=install, env={"PAVO_AGENT_MEMORY_MB": "512"}) as stack:
        while record.goes_on(minutes):
            print(f"round {record.rounds + 1}", flush=True)
            faults = rng.randint(3, 8)
            record.wanted += faults
            async with record.part("tasks under faults"):
                await round_of(stack, rng, faults, record.injected)
            async with record.part("stop and resume"):
                await stop_and_resume(stack, rng, 50)
            async with record.part("storm of commands"):
                await storm(stack, rng, 1_000)
            for scenes in (BY_AGENTS, BY_OTHERS):
                scene = scenes[record.rounds % len(scenes)]
                await stack.ready(120)
                async with record.part(scene.__name__.replace("_", " ")):
                    await scene(stack)
            await until(lambda: progress(stack), 30, "the database answers")
            record.rounds += 1
    if record.faults < record.wanted:
        record.failed = f"{record.faults} faults did harm, {record.wanted} were promised"


def play_properties(examples: int) -> str | None:
    """Have every test of properties play so many examples; what is not well."""
    limits = ["--timeout", str(60 * examples), "-p", "no:tests.budget"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *limits, *PROPERTIES]
    print(f"properties, {examples} examples each", flush=True)
    done = subprocess.run(command, env={**os.environ, "PAVO_TEST_EXAMPLES": str(examples)}, check=False)
    return f"properties: pytest's exit code is {done.returncode}" if done.returncode else None


def main() -> int:
    """Parse, run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--examples", type=int, default=0)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes, load {os.getloadavg()[0]:.1f}", flush=True)
    record = Record()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it ends the stack too
    try:
        asyncio.run(soak(record, random.Random(options.seed), options.minutes))
        if options.examples:
            record.failed = record.failed or play_properties(options.examples)
    except KeyboardInterrupt:
        record.failed = "interrupted"
    except Exception as error:  # noqa: BLE001 - whatever it is, the summary tells it
        record.failed = record.failed or f"the stack: {error or type(error).__name__}"
        traceback.print_exc()
    print(f"\n{record.summary(options.seed)}")
    return 1 if record.failed else 0


if __name__ == "__main__":
    sys.exit(main())
