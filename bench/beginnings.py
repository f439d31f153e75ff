"""(j) How long an isolated agent takes from its lease to its first step, and how long its module takes to import."""

import asyncio
import sys
import time

from bench.arms.isolated import PavoIsolated
from bench.arms.pavo import moment
from bench.measure import Figures, percentile


async def beginnings(pavo: PavoIsolated, tasks: int) -> Figures:
    """One task after the other, by PostgreSQL's clock: from the event EXECUTING to the first `tick`.

    Policy accepts the plan, so the lease is opened in the statement that writes EXECUTING.
    """
    seconds: list[float] = []
    for _ in range(tasks):
        task = await pavo.create(1)
        await pavo.until_done([task])
        at = {(event["type"], event.get("stage")): moment(event) for event in await pavo.events(task)}
        seconds.append(at["tick", None] - at["stage", "EXECUTING"])
    return {
        "p50_ms": 1000 * percentile(seconds, 0.5),
        "p95_ms": 1000 * percentile(seconds, 0.95),
        "import_ms": 1000 * await _import_seconds(),
    }


async def imported() -> str:
    """What the agent's module imports here."""
    return (await _python("import bench.heavy_intern; print(bench.heavy_intern.IMPORTED)")).strip()


async def _import_seconds() -> float:
    """Of the agent's module in a new interpreter, whose own start is left out."""

    async def took(code: str) -> float:
        begun = time.perf_counter()
        await _python(code)
        return time.perf_counter() - begun

    bare = min([await took("pass") for _ in range(3)])
    return min([await took("import bench.heavy_intern") for _ in range(3)]) - bare


async def _python(code: str) -> str:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{code!r} ended with {process.returncode}")
    return output.decode()
