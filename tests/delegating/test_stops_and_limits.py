"""A stop at any moment of a family, the most that a task delegates, and a child whose agent no worker has."""

import asyncio
import random
from pathlib import Path

import pytest

from pavo.agents.delegating.delegation import MAX_CHILDREN
from tests.delegating.leading import Led
from tests.delegating.leading_agents import install
from tests.driving import types, until
from tests.tasks.own_stack import on_path

RESTS = ("INIT", "STOPPED", "DONE", "FAILED")
MOMENTS = 8


async def family(led: Led, task_id: str) -> list[str]:
    """A task, and all that there is below it."""
    found = [task_id]
    listed = (await led.tasks.client.get("/api/tasks", params={"limit": 200})).json()["items"]
    for parent in found:
        found += [each["id"] for each in listed if each["parent_id"] == parent]
    return found


@pytest.mark.parametrize("moment", range(MOMENTS))
async def test_stopped_at_any_moment_all_rest_and_go_on(led: Led, moment: int) -> None:
    chance = random.Random(moment)
    led.go.touch()
    await led.start("leading", led.nested(led.child("tea"), led.child("pie")), led.child("jam"))
    await asyncio.sleep(chance.uniform(0, 1.2))
    answer = await led.tasks.client.post(f"/api/tasks/{led.id}/stop")
    assert answer.status_code in (200, 202), answer.text
    stage = (await led.tasks.wait(led.id, "STOPPED", "DONE"))["stage"]

    async def all_rest() -> bool:
        return all([(await led.tasks.get(each))["stage"] in RESTS for each in await family(led, led.id)])

    await until(all_rest, what="a family at rest", seconds=120)
    if stage == "STOPPED":
        await led.tasks.post(f"{led.id}/resume")
    assert await led.done() == "DONE: DONE: helped with tea | DONE: helped with pie | DONE: helped with jam"
    everybody = await family(led, led.id)
    assert len(everybody) == 5, "none was made twice"
    for each in everybody:
        assert (await led.tasks.get(each))["stage"] == "DONE"
        told = types(await led.tasks.events(each), "child_created", "child_over")
        assert told.count("child_created") == told.count("child_over") <= 2


async def test_more_than_the_most_is_refused_and_those_that_were_made_end(led: Led) -> None:
    await led.start("leading", *(led.child(f"cup {number}") for number in range(MAX_CHILDREN + 1)))
    error = (await led.tasks.wait(led.id, "FAILED"))["error"]
    assert f"has delegated {MAX_CHILDREN} tasks, and {MAX_CHILDREN} is the most" in error["cause"] and error["remedy"]
    children = await led.children(MAX_CHILDREN)

    async def all_rest() -> bool:
        return all([(await led.tasks.get(each))["stage"] in RESTS for each in children])

    await until(all_rest, what="children that rest", seconds=120)


@pytest.mark.fault
async def test_while_no_worker_has_its_agent_the_child_says_so_and_stops_with_its_parent(
    led: Led, tmp_path: Path
) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    await led.waits()
    led.own.worker.kill()
    folder = tmp_path / "without"
    folder.mkdir()
    install(folder, but="helping")
    environment = {**led.own.environment, "PYTHONPATH": on_path(folder)}
    without = await led.own.parts.start("worker", **environment)

    async def told() -> bool:
        return "'helping'" in (await led.tasks.get(child))["stage_status"]

    await until(told, what="a child that waits for a worker with its agent", seconds=60)
    await led.waits()
    await led.tasks.post(f"{led.id}/stop")
    await led.tasks.wait(child, "STOPPED")
    await led.tasks.post(f"{led.id}/resume")
    without.end()
    await led.own.new_worker()
    led.go.touch()
    assert await led.done() == "DONE: helped with tea"
    assert await led.children() == [child]
