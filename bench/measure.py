"""What is measured on a running Pavo, beside what it is compared with. Each function answers plain figures."""

import asyncio
import itertools
import json
import math
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.arms.base import Arm
from bench.arms.pavo import Pavo, moment
from bench.http import HttpError, load
from bench.proc import Group, free_port, listens, until, usage

Figures = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def throughput(arm: Arm, tasks: int, steps: int, singles: int) -> Figures:
    """(a) and (b): many tasks at once, then one after the other."""
    parts = arm.parts()
    apart = {part: usage([pid]).cpu for part, pid in parts.items()}
    before, start = arm.usage(), time.perf_counter()
    await arm.burst(tasks, steps)
    seconds, after = time.perf_counter() - start, arm.usage()
    apart = {part: usage([pid]).cpu - apart[part] for part, pid in parts.items()}
    lasting = [await arm.one(steps) * 1000 for _ in range(singles)]
    return {
        "steps_per_s": tasks * steps / seconds,
        "seconds": seconds,
        "cpu_s": after.cpu - before.cpu,
        "cpu_ms_per_task": (after.cpu - before.cpu) / tasks * 1000,
        **{f"cpu_ms_per_task_{part}": cpu / tasks * 1000 for part, cpu in apart.items()},
        "memory_mb": after.memory_mb,
        "one_p50_ms": percentile(lasting, 0.5),
        "one_p95_ms": percentile(lasting, 0.95),
    }


# (c) from commit to viewer


async def _viewers(group: Group, arguments: Sequence[str], output: str) -> int:
    """Start the process of the viewers and wait until all of them are connected."""
    pid = group.start([sys.executable, "-m", "bench.viewers", *arguments, "--output", output], log="viewers", grace=1)
    ready = group.folder / (output + ".ready")
    await until(ready.exists, seconds=60, what="The viewers' connection", logs=group)
    return pid


async def _latencies(group: Group, pid: int, output: str, what: str) -> Figures:
    path = group.folder / output
    await until(lambda: pid not in group.pids, seconds=120, what=what, logs=group)
    values = [float(line) for line in path.read_text().split()]
    return {"p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99), "samples": len(values)}


async def stream_latency(pavo: Pavo, viewers: int, events: int, every: float) -> Figures:
    """All viewers watch one task over SSE; an event's `at` is read just before its commit, on the same clock."""
    task = await pavo.create(events, seconds=every, start=False)
    output = f"sse-{task}"
    path = str(pavo.group.folder / output)
    arguments = ["sse", str(pavo.port), f"/api/tasks/{task}/stream", str(viewers)]
    pid = await _viewers(pavo.group, arguments, path)
    await pavo.call("POST", f"/api/tasks/{task}/start")
    return await _latencies(pavo.group, pid, path, "The end of the streams")


async def pubsub_latency(pavo: Pavo, viewers: int, events: int, every: float) -> Figures:
    """The floor: as many bare subscribers of the same Redis, the publisher's clock read just before publishing."""
    from redis.asyncio import Redis

    url = environment(pavo)["REDIS_URL"]
    port, password = str(urlsplit(url).port), urlsplit(url).password or ""
    output = str(pavo.group.folder / f"pubsub-{time.time_ns()}")
    pid = await _viewers(
        pavo.group, ["pubsub", port, f"bench:{time.time_ns()}", str(viewers), "--password", password], output
    )
    channel = (pavo.group.folder / (output + ".ready")).read_text()
    async with Redis.from_url(url) as redis:
        for _ in range(events):
            event = {"at": time.time(), "type": "tick", "progress": 1, "pad": "x" * 60}
            await redis.publish(channel, json.dumps(event))
            await asyncio.sleep(every)
        await redis.publish(channel, "end")
    return await _latencies(pavo.group, pid, output, "The end of the subscriptions")


# (d) stop


async def _step_times(pavo: Pavo, task: str) -> list[float]:
    return [moment(event) for event in await pavo.events(task) if event["type"] == "tick"]


async def _until_steps(pavo: Pavo, task: str, steps: int) -> None:
    async for event in pavo.watch(task):
        if event["type"] == "tick" and event["progress"] >= steps:
            return


async def _stop_once(pavo: Pavo, seconds: float, seed: float) -> float:
    """Seconds from the end of the step in flight (or from the click, where none was) to the answer."""
    task = await pavo.create(500, seconds=seconds)
    await _until_steps(pavo, task, 2)
    await asyncio.sleep(seed * seconds)
    click = time.time()
    receipt = await pavo.call("POST", f"/api/tasks/{task}/stop")
    answered = time.time()
    if receipt.get("stage") is None:
        raise RuntimeError(f"stop answered {receipt}")
    ended = [at for at in await _step_times(pavo, task) if at > click]
    return answered - max([click, *ended])


async def stop_latency(pavo: Pavo, stops: int, seconds: float, beside: int) -> Figures:
    """(d) Click to STOPPED, less what the step in flight still took, while `beside` other tasks run."""
    dice = random.Random(7)
    others = [await pavo.create(100_000, seconds=seconds) for _ in range(beside)]
    values = [await _stop_once(pavo, seconds, dice.random()) * 1000 for _ in range(stops)]
    for other in others:
        await pavo.call("POST", f"/api/tasks/{other}/stop")
    return {"p50_ms": percentile(values, 0.5), "p95_ms": percentile(values, 0.95), "stops": stops}


# (e) the worker dies


async def recovery(pavo: Pavo, rounds: int, tasks: int, seconds: float, number: int) -> Figures:
    """(e) Signal a worker under running tasks; per task that it had, the gap until its next recorded step.

    SIGKILL: from the signal to the first step recorded afterwards. SIGTERM: how much longer than a step the longest
    pause between two steps around it was. Both include the repeated step, of `seconds`.
    """
    gaps: list[float] = []
    for _ in range(rounds):
        running = [await pavo.create(100_000, seconds=seconds) for _ in range(tasks)]
        for task in running:
            await _until_steps(pavo, task, 2)
        victim = pavo.part("worker-1")
        await until(partial(_spare_waits, victim), seconds=90, what="The spare worker's start", logs=pavo.group)
        signalled = time.time()
        os.kill(victim["pid"], number)
        await _until_moved_on(pavo, running, signalled)
        for task in running:
            gaps += _gaps(await pavo.events(task), signalled, killed=number == signal.SIGKILL, step=seconds)
            await _delete(pavo, task)
        await until(lambda: pavo.part("worker-1")["state"] == "ready", seconds=30, what="The worker's restart")
    if not gaps:
        raise RuntimeError("The signal hit no task.")
    return {"p50_ms": percentile(gaps, 0.5) * 1000, "p95_ms": percentile(gaps, 0.95) * 1000, "samples": len(gaps)}


def _spare_waits(worker: dict[str, Any]) -> bool:
    """Whether a spare worker has said that it waits since this worker's log told of its start."""
    log = Path(worker["log"]).read_text(errors="replace")
    return log.rfind("waits for its turn") > log.rfind("is started again")


async def _delete(pavo: Pavo, task: str) -> None:
    """Delete a task; right after a death the API may say that it is to be repeated."""
    end = time.monotonic() + 30
    while True:
        try:
            await pavo.call("DELETE", f"/api/tasks/{task}")
        except HttpError as error:
            if ": 503 " not in str(error) or time.monotonic() > end:
                raise
            await asyncio.sleep(0.5)
        else:
            return


async def _until_moved_on(pavo: Pavo, tasks: Sequence[str], since: float) -> None:
    """Until each task has recorded several steps after the signal."""

    async def moved(task: str) -> None:
        seen = 0
        async for event in pavo.watch(task):
            seen += event["type"] == "tick" and moment(event) > since
            if seen == 8:
                return

    await asyncio.wait_for(asyncio.gather(*map(moved, tasks)), 60)


def _gaps(events: list[dict[str, Any]], signalled: float, *, killed: bool, step: float) -> list[float]:
    ticks = [moment(event) for event in events if event["type"] == "tick"]
    if killed:
        # Tasks of another worker have no such event: they were not hit.
        hit = [moment(e) for e in events if e["type"] == "recovered" and moment(e) > signalled]
        return [min(at for at in ticks if at > hit[0]) - signalled] if hit else []
    around = [(a, b) for a, b in itertools.pairwise(ticks) if b > signalled]
    return [max(b - a for a, b in around) - step]


# (f) reading a task


async def reads(pavo: Pavo, seconds: float, connections: int) -> tuple[Figures, Figures]:
    """(f) GET of a task by Pavo and by a bare route that reads the same row, one after the other."""
    task = await pavo.create(1, start=False)
    port = free_port()
    group = pavo.group
    bare = group.start(
        [sys.executable, "-m", "bench.bare_api", str(port), environment(pavo)["DATABASE_URL"]], log="bare-api"
    )
    try:
        await until(lambda: listens(port), seconds=20, what="The bare API's start", logs=group)
        path = f"/api/tasks/{task}"
        ours = await load(pavo.port, path, connections=connections, seconds=seconds)
        theirs = await load(port, path, connections=connections, seconds=seconds)
    finally:
        group.kill(bare)
    return {"requests_per_s": ours}, {"requests_per_s": theirs}


def environment(pavo: Pavo) -> dict[str, str]:
    """How the API of the running stack finds its stores: from its own environment."""
    items = Path(f"/proc/{pavo.part('api')['pid']}/environ").read_bytes().split(b"\0")
    pairs = (item.decode().partition("=") for item in items if b"=" in item)
    return {name: value for name, _, value in pairs}


# (g) many waiting tasks, (h) a long one


async def fill_reviews(pavo: Pavo, count: int) -> None:
    """Create so many tasks that wait for review."""
    for start in range(0, count, 200):
        size = min(200, count - start)
        tasks = await asyncio.gather(*(pavo.create(20, accept=False) for _ in range(size)))
        end = time.monotonic() + 120
        for task in tasks:
            while (await pavo.call("GET", f"/api/tasks/{task}"))["stage"] != "WAIT_RFC":
                if time.monotonic() > end:
                    raise RuntimeError(f"Task {task} did not reach its review")
                await asyncio.sleep(0.05)


async def long_task(pavo: Pavo, steps: int) -> Figures:
    """(h) Time of the first and of the last 100 steps of one task, by its events."""
    task = await pavo.create(steps)
    await asyncio.wait_for(pavo.until_done([task]), 600)
    at = await _step_times(pavo, task)
    # The hundreds between batches differ by where a batch's edge falls, so compare medians of windows of 100.
    windows = range(0, min(1_000, steps // 2), 100)
    first = statistics.median(at[start + 100] - at[start] for start in windows)
    last = statistics.median(at[-1 - start] - at[-101 - start] for start in windows)
    return {"first_100_ms": first * 1000, "last_100_ms": last * 1000, "ratio": last / first, "seconds": at[-1] - at[0]}
