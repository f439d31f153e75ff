"""What is said to a task that is done, while the parts that keep it and begin it are killed."""

import asyncio

import pytest

from tests.faults.drive import Driver, seeded
from tests.faults.stack import Stack

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
STEPS = 3
PARTS = ("api", "postgres", "redis", "temporal", "worker-1", "all")
WITHIN = 0.4
"""Seconds after something was said in which a part dies."""


async def test_each_part_dies_around_its_beginning_and_it_begins_once(stack: Stack) -> None:
    chance = seeded("follow-ups")
    async with Driver(stack) as driver:
        tasks = {part: await driver.create(STEPS, 0.02) for part in PARTS}
        for task in tasks.values():
            await driver.start(task)
        for task in tasks.values():
            await driver.stage(task, "DONE")
        for part, task in tasks.items():
            kill = stack.kill_all() if part == "all" else stack.kill(part)
            body = {"body": f"And without the {part}?"}
            said = driver.ok(
                "POST", f"/api/tasks/{task}/messages", json=body, headers={"Idempotency-Key": f"said-{task}"}
            )
            answer = asyncio.create_task(said)
            await asyncio.sleep(chance.uniform(0, WITHIN))
            await kill
            assert (await answer)["placed"] == "follow_up"
            await stack.ready()
        for part, task in tasks.items():
            await driver.wait(task, lambda view: view["stage"] == "DONE" and view["plan"]["version"] == 2, part)
            events = await driver.events(task)
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "gap in seq"
            stages = [event["stage"] for event in events if event["type"] == "stage"]
            assert stages == ["INIT", *["PLANNING", "EXECUTING", "DONE"] * 2], (part, stages)
            ticks = [event["progress"] for event in events if event["type"] == "tick"]
            assert ticks == [*range(1, STEPS + 1)] * 2, (part, ticks)
            told = [event["body"] for event in events if event["type"] == "message"]
            assert told == [f"And without the {part}?"], (part, told)
        assert not driver.wrong, driver.wrong[:5]
