"""Open histories on a new build: what breaks is named, what does not is not."""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from pavo.config import Settings
from pavo.deploy.checks.replay import Broken, Replayed, findings, replay_open
from pavo.deploy.rollout import worker_versions
from pavo.runs.probe_workflow import Probe
from pavo.worker import workflows
from tests.deploy.checks import changing
from tests.driving import QUICK, SLOW, Tasks, until


async def fired(handle: WorkflowHandle[object, None]) -> bool:
    names = [event.WhichOneof("attributes") for event in (await handle.fetch_history()).events]
    return "timer_fired_event_attributes" in names and names[-1] == "workflow_task_completed_event_attributes"


@pytest_asyncio.fixture
async def queue(temporal: Client) -> AsyncIterator[str]:
    """A task queue with three open workflows of the build as it was."""
    name = f"changing-{uuid.uuid4().hex[:8]}"
    async with Worker(temporal, task_queue=name, workflows=[changing.AsItWas]):
        handles = [
            await temporal.start_workflow(changing.AsItWas.run, id=f"{name}-{n}", task_queue=name) for n in range(3)
        ]
        for handle in handles:
            await until(lambda handle=handle: fired(handle))

    async def listed() -> bool:
        return (await temporal.count_workflows(f"TaskQueue = '{name}' AND ExecutionStatus = 'Running'")).count == 3

    await until(listed)
    yield name
    for handle in handles:
        await handle.terminate()


async def test_a_change_that_breaks_open_histories_is_named(temporal: Client, queue: str) -> None:
    good = await replay_open(temporal, queue, [changing.AsItWas], limit=10)
    assert good == Replayed(3, 3, ())
    assert [each.status for each in findings(good, version="", accept_breaking=False)] == ["pass"]
    assert (await replay_open(temporal, queue, [changing.Patched], limit=10)).broken == ()

    broken = await replay_open(temporal, queue, [changing.Broken], limit=10)
    assert {each.workflow_id for each in broken.broken} == {f"{queue}-{n}" for n in range(3)}
    assert all("Nondeterminism" in each.why and each.workflow_type == "Changing" for each in broken.broken)
    told = findings(broken, version="", accept_breaking=False)
    assert [each.status for each in told] == ["fail"] * 3 + ["pass"]
    assert "Timer" in told[0].detail and "patched" in (told[0].remedy or "")
    assert {each.status for each in findings(broken, version="", accept_breaking=True)} == {"warn", "pass"}


async def test_a_build_that_lacks_a_workflow_is_named(temporal: Client, queue: str) -> None:
    lacking = await replay_open(temporal, queue, [changing.Another], limit=10)
    assert len(lacking.broken) == 3 and "not registered" in lacking.broken[0].why


async def test_a_limit_is_said(temporal: Client, queue: str) -> None:
    part = await replay_open(temporal, queue, [changing.AsItWas], limit=2)
    assert (part.looked_at, part.open) == (2, 3)
    (told,) = findings(part, version="", accept_breaking=False)
    assert told.status == "warn" and "1 more" in told.detail and "--limit 3" in (told.remedy or "")


async def test_pinned_ones_only_warn_where_another_version_is_rolled_out(temporal: Client) -> None:
    name = f"pinned-{uuid.uuid4().hex[:8]}"
    version = WorkerDeploymentVersion(name, "one")
    config = WorkerDeploymentConfig(version, True, VersioningBehavior.PINNED)
    async with Worker(temporal, task_queue=name, workflows=[changing.AsItWas, Probe], deployment_config=config):
        assert await worker_versions.adopt(temporal, name, "one", name)
        handle = await temporal.start_workflow(changing.AsItWas.run, id=name, task_queue=name)
        await until(lambda: fired(handle))

        async def replayed() -> Replayed | None:
            found = await replay_open(temporal, name, [changing.Broken], limit=5)
            return found if found.broken and found.broken[0].pinned_to else None

        found = await until(replayed)
        await handle.terminate()
    assert found.broken[0].pinned_to == f"{name}:one"
    statuses = {
        rolled_out: findings(found, version=rolled_out, accept_breaking=False)[0].status
        for rolled_out in ("", f"{name}:one", f"{name}:two")
    }
    assert statuses == {"": "fail", f"{name}:one": "fail", f"{name}:two": "warn"}


async def test_pavos_own_open_tasks_replay_on_this_build(tasks: Tasks, temporal: Client, settings: Settings) -> None:
    waiting, executing = await tasks.reviewable(QUICK), await tasks.executing(SLOW, steps=3)
    wanted = {(await tasks.get(path))["workflow_id"] for path in (waiting["id"], executing)}
    queue = settings.temporal.task_queue

    async def listed() -> bool:
        found = temporal.list_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'")
        return wanted <= {each.id async for each in found}

    await until(listed)
    found = await replay_open(temporal, queue, workflows(), limit=1000)
    assert found.looked_at >= 2 and found.broken == ()
    await tasks.post(f"{executing}/stop")


def test_only_so_many_get_a_line_of_their_own() -> None:
    broken = tuple(Broken(f"w{n}", "r", "T", "why", "") for n in range(30))
    told = findings(Replayed(30, 30, broken), version="", accept_breaking=False)
    assert len(told) == 22 and "10 others" in told[20].detail and told[21].detail.startswith("0 of 30")
