"""Agents that loop, exit, segfault or eat memory are quarantined; their neighbours finish."""

import asyncio

import pytest

from tests.faults.drive import Driver, check_timeline
from tests.faults.rogues import AT, HARMS
from tests.faults.stack import Stack

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
STEPS = 10


async def test_rogues_are_quarantined_and_neighbours_finish(stack: Stack) -> None:
    starts = stack.workers[0].starts
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
        assert stack.workers[0].starts == starts, "the worker died with an agent"
