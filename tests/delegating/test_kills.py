"""Workers die while tasks are delegated: no child is made twice, and none is waited for without an end."""

import uuid

import pytest
from sqlalchemy import text
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.runs.reconcile import Reconciler
from pavo.tasks.reconcile import TaskRows
from pavo.tasks.sql import delegations
from pavo.tasks.waits.activities import TaskFamily
from pavo.tasks.wiring import KIND, task_commands
from pavo.timeline.publish import Publisher
from tests.delegating.leading import Led
from tests.driving import types, until

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("agent", ["leading", "leading_apart"])
async def test_right_after_the_child_was_made(led: Led, agent: str) -> None:
    await led.start(agent, led.child(waits=True))
    [child] = await led.children()
    led.own.worker.kill()
    await led.own.new_worker()
    await led.child_at(child)
    led.go.touch()
    assert await led.done() == "DONE: helped with tea"
    assert await led.children() == [child]
    assert types(await led.tasks.events(led.id), "child_created") == ["child_created"]


async def test_while_it_waits_and_right_after_the_end(led: Led) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    led.own.worker.kill()
    await led.own.new_worker()
    led.go.touch()
    await led.tasks.wait(child, "DONE")
    led.own.worker.kill()
    await led.own.new_worker()
    assert await led.done() == "DONE: helped with tea"
    assert types(await led.tasks.events(led.id), "child_over") == ["child_over"]


async def test_a_child_whose_workflow_was_ended_from_outside_is_an_outcome(
    led: Led, temporal: Client, database: Database, settings: Settings
) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    await led.waits()
    await temporal.get_workflow_handle((await led.tasks.get(child))["workflow_id"]).terminate()
    redis = build_redis(settings)
    publisher = Publisher(redis)
    own = settings.temporal.model_copy(update={"task_queue": led.own.environment["TEMPORAL_TASK_QUEUE"]})
    family = TaskFamily(database, task_commands(temporal, redis, own))
    reconciler = Reconciler([(KIND, TaskRows(database, publisher, family))], temporal)

    old = text("UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE id = :id")

    async def told() -> bool:
        async with database.transaction() as session:
            await session.execute(old, {"id": uuid.UUID(child)})
        await reconciler.reconcile_runs()
        return (await led.tasks.get(led.id))["stage"] == "DONE"

    await until(told, what="a parent that was told")
    assert "ended from outside" in await led.done()
    async with database.reading() as session:
        assert uuid.UUID(child) not in await delegations.unnoticed(session)
    await redis.aclose()
