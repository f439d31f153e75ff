"""One attempt is one call of `execute`: whatever Pavo does around it, an agent sees no end that is not its own."""

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.driving import Tasks, ticks, types, until
from tests.parts import Part, Parts, free_port
from tests.tasks.sparing_agents import install

AGENTS = ["sparing", "sparing_apart"]


@dataclass
class Own:
    """A stack that knows the sparing agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"attempts-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "attempts@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


def begun(calls: Path) -> list[str]:
    """The lines that tell of a beginning."""
    return [line for line in calls.read_text().splitlines() if line.startswith("begin")] if calls.exists() else []


async def progress(tasks: Tasks, path: str) -> list[int]:
    """What the `progress` events of a task told."""
    return [event["steps"] for event in await tasks.events(path) if event["type"] == "progress"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_checkpoint_may_say_more_after_sixty_steps_only(
    own: Own, temporal: Client, agent: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    options = {"calls": str(calls), "groups": 2}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    task = await own.tasks.wait(path, "DONE")
    assert len(begun(calls)) == 1
    assert ticks(await own.tasks.events(path)) == list(range(1, 121))
    assert await progress(own.tasks, path) == [50, 100, 120]
    assert "retry" not in types(await own.tasks.events(path))
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    assert len(history.events) < 15


TURN = 1.0
"""Seconds that a task keeps its slot here while others wait."""


@pytest_asyncio.fixture
async def narrow(own: Own) -> AsyncIterator[Own]:
    """A worker with two slots and short turns."""
    queue, port = f"narrow-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {**own.environment, "TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment |= {"PAVO_WORKER_TASKS": "2", "PAVO_TURN_SECONDS": str(TURN)}
    worker = await own.parts.start("worker", **environment)
    api = await own.parts.start("api", **environment)
    headers = {"X-User-Email": "narrow@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), own.parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.mark.parametrize("agent", AGENTS)
async def test_four_tasks_share_two_slots(narrow: Own, agent: str, tmp_path: Path) -> None:
    tasks, small, groups = narrow.tasks, 5, 400
    paths = []
    for number in range(4):
        options = {"calls": str(tmp_path / str(number)), "groups": groups, "small": small, "seconds": 0.02}
        paths.append(await tasks.started(options, agent_type=agent, auto_accept=True))

    async def all_advance_twice() -> bool:
        counts = [(await tasks.get(path))["steps"] for path in paths]
        assert max(counts) < groups * small, "one of them ended before all had a turn"
        return min(counts) > 80  # two turns of a second hardly suffice for so many

    await until(all_advance_twice)
    for path in paths:
        found = await tasks.events(path)
        assert ticks(found) == list(range(1, len(ticks(found)) + 1))
        assert not {"retry", "recovered"} & set(types(found))
        # A turn ends where the checkpoint says more than before: after the first step, and at the end of a group.
        assert {steps % small for steps in await progress(tasks, path)} <= {0, 1}
        await tasks.client.delete(f"/api/tasks/{path}")
