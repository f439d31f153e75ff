"""Flows on the local engine beside an engine in memory: `python -m bench.flows [--rounds 5] [--lengths 0,10,50]`.

The same steps of 0, 10 and 50 ms: twenty, each behind the one before; and eight branches of five, then a step that
needs all of them. A step is a function that blocks; both engines call it on a thread. The local engine's state is in
PostgreSQL, on data that survive a power cut: each step is committed before it begins and once it has ended. The other
one's (`bench.arms.simple_engine`) is a dict, and gone with its process.

Seconds count from asking for a run to its result. CPU is that of this process and of PostgreSQL, which runs all the
time; ratios are of one round.
"""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from bench.arms.simple_engine import SimpleEngine
from bench.proc import usage
from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.flows.convert.converting import convert
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.tools.builtin.web import WebReader
from pavo.tools.contract import tool
from pavo.tools.described import Tool, tool_of
from pavo.tools.registry import ToolRegistry

LENGTHS: Final = (0, 10, 50)
"""Milliseconds of a step."""
IN_SEQUENCE: Final = 20
BRANCHES: Final = 8
OF_A_BRANCH: Final = 5
RUNS: Final = {0: 5, 10: 3, 50: 1}
"""Of an arm in each round."""

Flow = Mapping[str, Any]
Run = Callable[[], Awaitable[None]]


@tool(effect="idempotent")
def wait(ms: int) -> int:
    """A step of so many milliseconds."""
    if ms:
        time.sleep(ms / 1_000)
    return ms


def sequence(ms: int) -> Flow:
    """Each step behind the one before."""
    steps = {f"s{at}": _step(ms, [f"s{at - 1}"] if at else []) for at in range(IN_SEQUENCE)}
    return {"name": f"sequence_{ms}", "steps": steps}


def branches(ms: int) -> Flow:
    """Sequences beside each other, and a step that needs the ends of all."""
    steps: dict[str, Any] = {}
    for branch in range(BRANCHES):
        for at in range(OF_A_BRANCH):
            steps[f"b{branch}_{at}"] = _step(ms, [f"b{branch}_{at - 1}"] if at else [])
    ends = [f"b{branch}_{OF_A_BRANCH - 1}" for branch in range(BRANCHES)]
    return {"name": f"branches_{ms}", "steps": {**steps, "join": _step(ms, ends)}}


def _step(ms: int, needs: Sequence[str]) -> Flow:
    return {"action": "wait", "params": {"ms": ms}, "depends_on": needs}


class _Functions:
    """What the steps call."""

    def __init__(self) -> None:
        self._wait = tool_of("wait", wait)

    def settle(self) -> None:
        """It is there."""

    def all(self) -> Sequence[Tool]:
        return [self._wait]

    def is_ready(self, name: str) -> bool:
        return True

    def find(self, name: str) -> Tool | None:
        return self._wait if name == "wait" else None


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one arm with one flow, in one round; of a run."""

    seconds: float
    cpu: float


async def _measure(run: Run, times: int) -> Measured:
    cpu, start = usage([os.getpid()]).cpu, time.perf_counter()
    for _ in range(times):
        await run()
    return Measured((time.perf_counter() - start) / times, (usage([os.getpid()]).cpu - cpu) / times)


class _Local:
    """The local engine."""

    def __init__(self, database: Database, evaluator: Evaluator, organisation: uuid.UUID) -> None:
        self._evaluator, self._organisation = evaluator, organisation
        self._service = RunService(database)
        steps = LocalSteps(ToolRegistry({}), ToolRegistry({}, _Functions()), WebReader((), ()))
        self._engine = LocalEngine(database, steps, evaluator)

    def of(self, flow: Flow) -> Run:
        definition = self._converted(flow)

        async def run() -> None:
            run_id = await self._service.begin(self._organisation, definition, {})
            record = await self._engine.run(run_id)
            assert record.state == "succeeded", record.error

        return run

    def _converted(self, flow: Flow) -> Definition:
        return definition_of(convert(flow, "simple", self._evaluator.wrong).flow, self._evaluator.wrong)


def simple(flow: Flow) -> Run:
    """The engine in memory."""
    engine = SimpleEngine({"wait": wait})
    engine.register(flow)

    async def run() -> None:
        run_id = engine.start(flow["name"])
        await engine.wait(run_id)
        assert len(engine.status(run_id)["results"]) == len(flow["steps"])

    return run


async def main(rounds: int, lengths: Sequence[int]) -> None:
    """Measure all arms in each round, in turn, and print medians."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-bench-"))
    folder.chmod(0o711)
    try:
        async with AsyncExitStack() as opened:
            stack = await opened.enter_async_context(EmbeddedStack(folder, ephemeral=False, parts=STORES))
            url = stack.environment["DATABASE_URL"]
            await asyncio.to_thread(upgrade, url)
            database, evaluator = Database(url), Evaluator()
            opened.push_async_callback(database.close)
            opened.callback(evaluator.close)
            await _rounds(_Local(database, evaluator, await _organisation(database)), rounds, lengths)
    finally:
        remove_data(folder)


async def _organisation(database: Database) -> uuid.UUID:
    found = uuid.uuid4()
    async with database.autocommit() as connection:
        await connection.exec_driver_sql(f"INSERT INTO organisations (id, name) VALUES ('{found}', 'bench')")
    return found


async def _rounds(local: _Local, rounds: int, lengths: Sequence[int]) -> None:
    flows = [(kind, ms, kind(ms)) for ms in lengths for kind in (sequence, branches)]
    for kind, ms, flow in flows:
        arms = {"simple": simple(flow), "local": local.of(flow)}
        for run in arms.values():
            await run()
        found: dict[str, list[Measured]] = {name: [] for name in arms}
        for at in range(rounds):
            for name, run in list(arms.items())[:: 1 if at % 2 else -1]:
                found[name].append(await _measure(run, RUNS.get(ms, 1)))
        _print(f"{kind.__name__}, steps of {ms} ms", len(flow["steps"]), found)


def _print(title: str, steps: int, found: Mapping[str, Sequence[Measured]]) -> None:
    for name, of in found.items():
        seconds, cpu = median(each.seconds for each in of), median(each.cpu for each in of)
        print(f"{title}: {name}: {seconds * 1_000:.1f} ms, CPU {cpu * 1_000:.1f} ms, {cpu / steps * 1_000:.2f} a step")
    ratios = [theirs.seconds / ours.seconds for theirs, ours in zip(found["simple"], found["local"], strict=True)]
    print(f"{title}: ratio of the rates {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.flows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", type=lambda text: [int(each) for each in text.split(",")], default=LENGTHS)
    uvloop.run(main(**vars(parser.parse_args())))
