"""Agents that loop, exit, segfault or eat memory are quarantined; their neighbours finish."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.drive import Driver, check_timeline
from tests.faults.rogues import AT, HARMS
from tests.faults.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
STEPS = 10


async def rogues(stack: Stack) -> None:
    """One of each harm beside agents that do none."""
    worker = stack.workers[0].pid
    async with Driver(stack) as driver:
        bad = {
            harm: await driver.create(0, agent="rogue", options={"harm": harm, "steps": STEPS})
            for harm in HARMS
            if harm != "good"
        }
        good = [await driver.create(0, agent="rogue", options={"harm": "good", "steps": STEPS}) for _ in range(2)]
        neighbours = [await driver.create(200, 0.05) for _ in range(3)]
        await asyncio.gather(*(driver.start(task) for task in (*bad.values(), *good, *neighbours)))
        await driver.verify(good, STEPS)
        await driver.verify(neighbours, 200)
        for harm, task in bad.items():
            view = await driver.stage(task, "FAILED", seconds=120)
            assert view["error"]["type"] == "Quarantined", (harm, view["error"])
            assert view["steps"] == AT - 1, (harm, view["steps"])
            events = await driver.events(task)
            check_timeline(task, events, AT - 1)
            died = [event for event in events if event["type"] == "recovered"]
            assert len(died) == 3, (harm, [event.get("cause") for event in died])
            print(harm, view["error"]["cause"])
        assert stack.workers[0].pid == worker, "the worker died with an agent"


async def test_rogues_are_quarantined_and_neighbours_finish(stack: Stack) -> None:
    await rogues(stack)


async def stopped_in_time(driver: Driver, task: str) -> dict[str, Any]:
    """The receipt; it came without waiting for the agent."""
    started = time.monotonic()
    answer = await driver.stop(task)
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - started < 5
    await driver.stage(task, "STOPPED")
    return answer.json()


@pytest.mark.parametrize("agent", ["held", "held-inside"])
async def test_stop_cuts_a_report(stack: Stack, agent: str, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    async with Driver(stack) as driver:
        task = await driver.create(0, agent=agent, options={"hold": str(hold)})
        await driver.start(task)
        await driver.wait(task, lambda view: view["steps"] == AT, "all steps")
        receipt = await stopped_in_time(driver, task)
        assert (receipt["stage"], receipt["last_step"], receipt["step_cut"]) == ("EXECUTING", AT, False)
        hold.unlink()
        await driver.resume(task)
        await driver.verify([task], AT)
        assert [event["type"] for event in await driver.events(task)].count("report") == 1


async def test_stop_cuts_a_starting_process(stack: Stack) -> None:
    async with Driver(stack) as driver:
        task = await driver.create(0, agent="held", options={"hold": "/nowhere"}, auto_accept=False)
        await driver.start(task)
        view = await driver.stage(task, "WAIT_RFC")
        begun_from = preloaded(stack.workers[0].pid)  # that of its own agents among them: they have planned
        for pid in begun_from:
            os.kill(pid, signal.SIGSTOP)  # it forks nobody
        try:
            await driver.accept(task)
            await until(lambda: leased(stack, task), 60, "the attempt")
            receipt = await stopped_in_time(driver, task)
        finally:
            for pid in begun_from:
                os.kill(pid, signal.SIGCONT)
        assert (receipt["stage"], receipt["last_step"], receipt["step_cut"]) == ("EXECUTING", 0, False)
        assert view["plan"]["version"] == 1
        await driver.resume(task)
        await driver.verify([task], AT)


def preloaded(worker: int) -> list[int]:
    """The processes of which the agents of a worker begin, one for each distribution."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == worker and b"preloaded_program" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    assert found, f"worker {worker} has no preloaded process"
    return found


async def leased(stack: Stack, task: str) -> bool:
    return (await stack.sql(f"SELECT holder IS NOT NULL FROM executions WHERE task_id = '{task}'"))[0][0]
