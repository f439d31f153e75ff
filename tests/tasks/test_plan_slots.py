"""Planning has slots of its own: neither waits for what is executed, nor has it wait."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks, types, until
from tests.parts import Parts, free_port
from tests.tasks.sparing_agents import install

SOON = 30.0
"""Seconds, on a machine that is busy: what blocked would do so for as long as the test takes."""
FOR_EVER = 600.0


@pytest_asyncio.fixture(scope="module")
async def tasks(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tasks]:
    """Tasks of a worker that executes two of one agent and organisation at once."""
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"plans-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_WORKER_TASKS": "2"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    started = [await parts.start("worker", **environment), await parts.start("api", **environment)]
    headers = {"X-User-Email": "plans@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        yield Tasks(client)
    for process in started:
        process.end()


async def test_tasks_in_a_long_step_leave_planning_and_revising_alone(tasks: Tasks, tmp_path: Path) -> None:
    calls = [tmp_path / name for name in "ab"]
    long = [
        await tasks.started({"calls": str(each), "seconds": FOR_EVER}, agent_type="sparing", auto_accept=True)
        for each in calls
    ]

    async def all_began() -> bool:
        return all(each.exists() for each in calls)

    await until(all_began)
    third = await tasks.started({"calls": str(tmp_path / "c")}, agent_type="sparing")
    await tasks.wait(third, "WAIT_RFC", seconds=SOON)
    document = (await tasks.get(third))["plan"]["document_id"]
    await tasks.post(f"{third}/documents/{document}/feedback", 201, body="Not so sparing.")
    await tasks.post(f"{third}/plan/done-reviewing")

    async def revised() -> bool:
        task = await tasks.get(third)
        return task["stage"] == "WAIT_RFC" and task["plan"]["version"] == 2

    await until(revised, seconds=SOON)
    assert "waiting" not in types(await tasks.events(third))
    for path in long:
        await tasks.post(f"{path}/stop")


async def test_plans_that_take_long_leave_what_is_accepted_alone(tasks: Tasks, tmp_path: Path) -> None:
    quick = {"calls": str(tmp_path / "quick"), "small": 3}
    accepted = await tasks.reviewable(quick, agent_type="sparing")
    long = {"calls": str(tmp_path / "long"), "plan_seconds": FOR_EVER}
    planning = [await tasks.started(long, agent_type="sparing") for _ in range(3)]

    async def told() -> list[str]:
        found = [event for path in planning for event in await tasks.events(path)]
        return [event["for"] for event in found if event["type"] == "waiting"]

    assert "other plans" in (await until(told, seconds=SOON))[0]
    await tasks.accept(accepted)
    await tasks.wait(accepted["id"], "DONE", seconds=SOON)
    # What nobody reviews is planned in the slot in which it is executed.
    unreviewed = await tasks.started({**quick, "plan_seconds": 0.1}, agent_type="sparing", auto_accept=True)
    await tasks.wait(unreviewed, "DONE", seconds=SOON)
    for path in planning:
        await tasks.post(f"{path}/stop")
