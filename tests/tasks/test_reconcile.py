"""Rows and workflows that disagree are repaired or explained."""

import uuid

from sqlalchemy import text
from temporalio.client import Client

from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.tasks.reconcile import Reconciler
from pavo.timeline.publish import Publisher
from tests.driving import Tasks, ticks, types, until


async def test_terminated_workflow_is_explained_and_resumes(
    tasks: Tasks, temporal: Client, database: Database, settings: Settings
) -> None:
    from pavo.bootstrap import build_redis

    path = await tasks.executing({"steps": 60, "step_seconds": 0.02}, steps=5)
    await temporal.get_workflow_handle((await tasks.get(path))["workflow_id"]).terminate("by the test")
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    reconciler = Reconciler(database, publisher, temporal)
    old = text("UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE id = :id")

    async def found() -> bool:
        async with database.transaction() as session:
            await session.execute(old, {"id": uuid.UUID(path)})
        return await reconciler.reconcile_tasks() > 0

    await until(found)
    assert await reconciler.reconcile_tasks() == 0
    await publisher.close()
    await redis.aclose()
    task = await tasks.get(path)
    assert (task["stage"], task["error"]["type"]) == ("FAILED", "WorkflowLost")
    assert "terminated" in task["error"]["cause"] and "esume" in task["error"]["remedy"]
    assert "failed" in types(await tasks.events(path))
    await tasks.post(f"{path}/resume")
    await tasks.wait(path, "DONE")
    assert ticks(await tasks.events(path)) == list(range(1, 61))


async def test_resume_repairs_a_lost_workflow_at_once(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable()
    await temporal.get_workflow_handle(task["workflow_id"]).terminate("by the test")
    assert not (await tasks.post(f"{task['id']}/resume"))["already_running"]
    await tasks.accept(await tasks.wait(task["id"], "WAIT_RFC"))
    await tasks.wait(task["id"], "DONE")


async def test_stop_of_a_lost_workflow_answers(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable()
    await temporal.get_workflow_handle(task["workflow_id"]).terminate("by the test")
    await tasks.post(f"{task['id']}/stop")
    assert (await tasks.client.delete(f"/api/tasks/{task['id']}")).status_code == 204
