"""Two versions of the workers on one queue: who stays, who moves on, who is woken, and nobody is lost."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.common import VersioningBehavior
from temporalio.worker import Replayer

from pavo.deploy.rollout import draining, worker_versions
from pavo.deploy.rollout.worker_rollout import Rolling, roll
from pavo.errors import Conflict, NotFound
from pavo.worker import workflows
from tests.driving import QUICK, SLOW, Tasks, ticks, types, until
from tests.parts import Part, Parts, free_port

LONG = {"steps": 240, "step_seconds": 0.02}
"""Long enough to be under way while versions change."""


@dataclass
class Versioned:
    """A deployment of its own: its queue, its API, its workers by build id."""

    name: str
    parts: Parts
    tasks: Tasks
    environment: dict[str, str]
    workers: dict[str, Part]

    async def worker(self, build_id: str, turn_seconds: float = 0.5) -> None:
        """Start one; it looks after `turn_seconds` whether another build is current."""
        own = {"PAVO_WORKER_BUILD_ID": build_id, "PAVO_TURN_SECONDS": str(turn_seconds), **self.environment}
        self.workers[build_id] = await self.parts.start("worker", **own)

    def end(self, build_id: str) -> None:
        self.workers.pop(build_id).end()


@pytest_asyncio.fixture
async def own(parts: Parts) -> AsyncIterator[Versioned]:
    name, port = f"pavo-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": name, "PAVO_WORKER_DEPLOYMENT": name, "PAVO_PORT": port}
    api = await parts.start("api", **environment)
    headers = {"X-User-Email": f"{name}@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        found = Versioned(name, parts, Tasks(client), environment, {})
        yield found
        for build_id in list(found.workers):
            found.end(build_id)
    api.end()


async def pinned(temporal: Client, name: str) -> dict[str, int]:
    """Open runs by build id."""
    return {
        version.build_id: version.runs for version in (await worker_versions.describe(temporal, name, name)).versions
    }


async def until_pinned(temporal: Client, name: str, wanted: dict[str, int]) -> None:
    """Visibility is a moment behind."""

    async def there() -> bool:
        return {build: count for build, count in (await pinned(temporal, name)).items() if count} == wanted

    await until(there, what=f"tasks pinned as {wanted}, not {await pinned(temporal, name)}")


async def test_tasks_move_to_the_new_version_and_back_and_none_is_lost(own: Versioned, temporal: Client) -> None:
    await own.worker("v1")
    deployment = await worker_versions.describe(temporal, own.name, own.name)
    assert (deployment.current, [version.status for version in deployment.versions]) == ("v1", ["current"])
    waiting = [await own.tasks.reviewable(QUICK) for _ in range(3)]
    executing = [await own.tasks.executing(LONG) for _ in range(3)]
    await until_pinned(temporal, own.name, {"v1": 6})

    await own.worker("v2")
    assert await worker_versions.adopt(temporal, own.name, "v2", own.name) is False
    await until_pinned(temporal, own.name, {"v1": 6})
    assert await worker_versions.set_current(temporal, own.name, "v2", own.name) == "v1"
    assert await worker_versions.set_current(temporal, own.name, "v2", own.name) == "v2"
    seen: list[int] = []
    drained = await draining.drain(
        temporal, own.name, own.name, seconds=60, on_progress=lambda left: seen.append(sum(left.values()))
    )
    assert drained.left == {} and drained.woken >= 3 and seen[-1] == 0
    own.end("v1")
    fresh = await own.tasks.reviewable(QUICK)
    for task in (*waiting[:2], fresh):
        await own.tasks.accept(await own.tasks.get(task["id"]))
    for path, steps in [*((path, 240) for path in executing), *((task["id"], 5) for task in (*waiting[:2], fresh))]:
        await own.tasks.wait(path, "DONE", seconds=60)
        assert ticks(await own.tasks.events(path)) == list(range(1, steps + 1))

    await until_pinned(temporal, own.name, {"v2": 1})
    with pytest.raises(Conflict):  # its workers are gone
        await draining.rollback(temporal, own.name, "v1", own.name, seconds=5)
    await own.worker("v1")
    back = await draining.rollback(temporal, own.name, "v1", own.name, seconds=30)
    assert back.left == {} and back.woken == 1
    own.end("v2")
    await own.tasks.accept(await own.tasks.get(waiting[2]["id"]))
    await own.tasks.wait(waiting[2]["id"], "DONE")


async def test_long_tasks_move_on_by_themselves(own: Versioned, temporal: Client) -> None:
    await own.worker("v1")
    path = await own.tasks.executing(SLOW)
    await own.worker("v2")
    await worker_versions.set_current(temporal, own.name, "v2", own.name)
    await until_pinned(temporal, own.name, {"v2": 1})
    own.end("v1")
    reached = (await own.tasks.get(path))["steps"]

    async def further() -> bool:
        return (await own.tasks.get(path))["steps"] > reached

    await until(further)
    await own.tasks.post(f"{path}/stop")
    task = await own.tasks.get(path)
    listed = temporal.list_workflows(f"WorkflowId = '{task['workflow_id']}'").map_histories()
    runs = [run async for run in listed]
    assert len(runs) == 2
    replayer = Replayer(workflows=workflows())
    for run in runs:
        await replayer.replay_workflow(run)
    found = await own.tasks.events(path)
    assert ticks(found) == list(range(1, task["steps"] + 1)) and "recovered" not in types(found)


async def test_who_is_asked_to_move_on_ends_at_a_step_boundary(own: Versioned, temporal: Client) -> None:
    """The signal alone does it; nothing is cut, counted or told as a failure."""
    await own.worker("v1", turn_seconds=3600)
    path = await own.tasks.executing({**LONG, "step_seconds": 0.06}, steps=5)
    await own.worker("v2", turn_seconds=3600)
    await worker_versions.set_current(temporal, own.name, "v2", own.name)
    drained = await draining.drain(temporal, own.name, own.name, seconds=120)
    assert (drained.left, drained.woken) == ({}, 1)
    own.end("v1")
    await own.tasks.wait(path, "DONE")
    found = await own.tasks.events(path)
    assert ticks(found) == list(range(1, 241))
    assert not {"retry", "recovered", "stopped", "failed"} & set(types(found))
    workflow_id = (await own.tasks.get(path))["workflow_id"]
    runs = [run async for run in temporal.list_workflows(f"WorkflowId = '{workflow_id}'").map_histories()]
    assert len(runs) == 2
    replayer = Replayer(workflows=workflows())
    for run in runs:
        await replayer.replay_workflow(run)


async def test_tasks_without_a_version_are_taken_over_by_the_first(own: Versioned, temporal: Client) -> None:
    plain = await own.parts.start("worker", **own.environment)
    task = await own.tasks.reviewable(QUICK)
    assert (await worker_versions.describe(temporal, own.name, own.name)).versions == ()
    await own.worker("v1")
    plain.end()
    await own.tasks.accept(task)
    await own.tasks.wait(task["id"], "DONE")


async def test_a_ramp_and_unknown_versions(own: Versioned, temporal: Client) -> None:
    with pytest.raises(NotFound, match="v9"):
        await worker_versions.set_current(temporal, own.name, "v9", own.name)
    await own.worker("v1")
    await own.worker("v2")
    await worker_versions.ramp(temporal, own.name, "v2", 100, own.name)
    ramped = await worker_versions.describe(temporal, own.name, own.name)
    assert (ramped.current, ramped.ramping, ramped.ramp_percent) == ("v1", "v2", 100)
    await own.tasks.reviewable(QUICK)
    await until_pinned(temporal, own.name, {"v2": 1})
    await worker_versions.ramp(temporal, own.name, "v2", 0, own.name)
    assert (await worker_versions.describe(temporal, own.name, own.name)).ramping == ""
    with pytest.raises(NotFound, match="v9"):
        await worker_versions.ramp(temporal, own.name, "v9", 10, own.name)


@pytest.mark.fault
async def test_tasks_of_workers_that_are_gone_are_taken_over(own: Versioned, temporal: Client) -> None:
    await own.worker("v1")
    executing, waiting = await own.tasks.executing(LONG), await own.tasks.reviewable(QUICK)
    await until_pinned(temporal, own.name, {"v1": 2})
    own.workers["v1"].kill()
    await own.worker("v2")
    await worker_versions.set_current(temporal, own.name, "v2", own.name)
    drained = await draining.drain(temporal, own.name, own.name, seconds=2)
    assert drained.left == {"v1": 2}
    assert await worker_versions.take_over(temporal, own.name, "v1", own.name) == 2
    assert await worker_versions.take_over(temporal, own.name, "v9", own.name) == 0
    await until_pinned(temporal, own.name, {"v2": 2})
    for path in (waiting["id"], executing):
        run = temporal.get_workflow_handle((await own.tasks.get(path))["workflow_id"])

        async def pinned_again(run: WorkflowHandle[Any, Any] = run) -> bool:
            info = (await run.describe()).raw_info.versioning_info
            assert info.deployment_version.build_id == "v2"
            return info.behavior == VersioningBehavior.PINNED and not info.HasField("versioning_override")

        await until(pinned_again, what="a run without the override")
    await own.tasks.accept(await own.tasks.get(waiting["id"]))
    for path, steps in ((waiting["id"], 5), (executing, 240)):
        await own.tasks.wait(path, "DONE", seconds=60)
        assert ticks(await own.tasks.events(path)) == list(range(1, steps + 1))


@pytest.mark.fault
@pytest.mark.parametrize("count", [1, 2])
async def test_a_build_is_rolled_out_in_place(own: Versioned, temporal: Client, count: int) -> None:
    names = [f"worker-{number}" for number in range(count)]
    running: dict[str, Part] = {}

    async def start(name: str, build_id: str) -> None:
        if name in running:
            running.pop(name).end()
        settings = {"PAVO_WORKER_BUILD_ID": build_id, "PAVO_TURN_SECONDS": "0.5", **own.environment}
        running[name] = await own.parts.start("worker", **settings)

    for name in names:
        await start(name, "old")
    executing, waiting = await own.tasks.executing(LONG), await own.tasks.reviewable(QUICK)
    await until_pinned(temporal, own.name, {"old": 2})
    said: list[str] = []
    wanted = Rolling(own.name, "new", own.name, names, lambda name: start(name, "new"), seconds=30)
    drained = await roll(temporal, wanted, said.append)
    assert drained.left == {}
    assert any("taken over" in line for line in said) == (count == 1), said
    await own.tasks.accept(await own.tasks.get(waiting["id"]))
    for path, steps in ((waiting["id"], 5), (executing, 240)):
        await own.tasks.wait(path, "DONE", seconds=60)
        assert ticks(await own.tasks.events(path)) == list(range(1, steps + 1))
    for part in running.values():
        part.end()
