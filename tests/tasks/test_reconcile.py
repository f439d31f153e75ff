"""Rows and workflows that disagree are repaired or explained."""

import uuid
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus

from pavo.agents.importing import Imports
from pavo.agents.registry import AgentRegistry
from pavo.bootstrap import build_accounts, build_redis, kept_connections
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.runs.presence import Presence
from pavo.runs.reconcile import Reconciler
from pavo.runs.workflow_calls import NotTaken
from pavo.tasks.commands import TaskCommands, TaskRun
from pavo.tasks.domain import Receipt
from pavo.tasks.reconcile import TaskRows
from pavo.tasks.service import TaskService
from pavo.tasks.sql.request_statements import RequestStatements
from pavo.tasks.wiring import KIND
from pavo.temporal.failures import NoSuchRun
from pavo.timeline.publish import Publisher
from tests.driving import Tasks, ticks, types, until


async def test_terminated_workflow_is_explained_and_resumes(
    tasks: Tasks, temporal: Client, database: Database, settings: Settings
) -> None:
    path = await tasks.executing({"steps": 60, "step_seconds": 0.02}, steps=5)
    await temporal.get_workflow_handle((await tasks.get(path))["workflow_id"]).terminate("by the test")
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    reconciler = Reconciler([(KIND, TaskRows(database, publisher))], temporal)
    old = text("UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE id = :id")

    async def found() -> bool:
        async with database.transaction() as session:
            await session.execute(old, {"id": uuid.UUID(path)})
        return await reconciler.reconcile_runs() > 0

    await until(found)
    assert await reconciler.reconcile_runs() == 0
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


class Overtaken(TaskCommands):
    """Its first stop arrives when the run has just ended and the task was resumed by somebody else."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def stop(self, run: TaskRun, *, not_taken: NotTaken | None = None) -> Receipt:
        if self.meanwhile is None:
            return await super().stop(run, not_taken=not_taken)
        meanwhile, self.meanwhile = self.meanwhile, None
        await meanwhile()
        raise NoSuchRun("The run of then is over.")


async def test_a_stop_that_comes_too_late_stops_the_run_that_is_open_now(
    tasks: Tasks, temporal: Client, database: Database, settings: Settings
) -> None:
    path = await tasks.executing({"steps": 5_000, "step_seconds": 0.02}, steps=3)
    redis, connections = build_redis(settings), kept_connections(database, settings)
    queue = settings.temporal.task_queue
    commands = Overtaken(temporal, queue, Presence(redis, temporal.namespace, queue))
    service = TaskService(
        database, RequestStatements(connections), redis, Publisher(redis), Imports(AgentRegistry.load()), commands
    )

    async def meanwhile() -> None:
        await tasks.post(f"{path}/stop")
        await tasks.post(f"{path}/resume")

    commands.meanwhile = meanwhile
    who = await build_accounts(database, settings).identify_header(None, "ada@example.com")
    assert who is not None
    stopped = await service.stop(await service.get(who, uuid.UUID(path)))
    assert isinstance(stopped, Receipt)
    task = await tasks.get(path)
    assert (task["stage"], task["steps"]) == ("STOPPED", stopped.last_step)

    async def closed() -> bool:
        run = await temporal.get_workflow_handle(task["workflow_id"]).describe()
        return run.status == WorkflowExecutionStatus.COMPLETED

    await until(closed, what="the end of the run that was resumed")
    await tasks.post(f"{path}/resume")
    assert (await tasks.wait(path, "EXECUTING"))["stage"] == "EXECUTING"
    await tasks.client.delete(f"/api/tasks/{path}")
    await connections.close()
    await redis.aclose()
