"""The shapes of workflow histories that are recorded and replayed: name to a coroutine that makes one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from temporalio.client import Client, WorkflowHandle

from tests.driving import QUICK, SLOW, Tasks, types, until

FAILING = {"steps": 5, "step_seconds": 0, "fail_at": 3}
LOCK_SECONDS = 12
"""Longer than a write waits inside the workflow task."""


@dataclass(frozen=True)
class Recorded:
    """The stack whose workflows are recorded."""

    tasks: Tasks
    temporal: Client
    database_url: str
    folder: Path
    """Where agents may write."""

    async def handle(self, task_id: str) -> WorkflowHandle[Any, Any]:
        """The task's workflow."""
        return self.temporal.get_workflow_handle((await self.tasks.get(task_id))["workflow_id"])

    async def reviewed(self, task: dict[str, Any], body: str) -> dict[str, Any]:
        """The next version of a plan, made after this comment on the one that is under review."""
        path = f"{task['id']}/documents/{task['plan']['document_id']}/feedback"
        await self.tasks.post(path, 201, body=body)
        return await self.revised(task)

    async def revised(self, task: dict[str, Any]) -> dict[str, Any]:
        """The next version of a plan that has comments."""
        await self.tasks.post(f"{task['id']}/plan/done-reviewing")

        async def another() -> bool:
            return (await self.tasks.get(task["id"]))["plan"]["version"] == task["plan"]["version"] + 1

        await until(another)
        return await self.tasks.wait(task["id"], "WAIT_RFC")

    async def accepted(self, task: dict[str, Any]) -> str:
        """The task, carried out after its plan was accepted."""
        await self.tasks.accept(task)
        await self.tasks.wait(task["id"], "DONE")
        return task["id"]

    async def moved(self, handle: WorkflowHandle[Any, Any], first: str | None) -> None:
        """Until another run of the workflow has taken over."""

        async def another() -> bool:
            return (await handle.describe()).run_id != first

        await until(another, what="the next run")


async def auto_accept(stack: Recorded) -> str:
    path = await stack.tasks.started(QUICK, auto_accept=True)
    await stack.tasks.wait(path, "DONE")
    return path


async def review_and_revise(stack: Recorded) -> str:
    task = await stack.tasks.reviewable(QUICK)
    await stack.tasks.post(f"{task['id']}/plan/accept", 409, hash="0" * 64)
    return await stack.accepted(await stack.reviewed(task, "Shorter."))


async def accept_with_open_comments(stack: Recorded) -> str:
    task = await stack.tasks.reviewable(QUICK)
    await stack.tasks.post(f"{task['id']}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    await stack.tasks.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"], override_feedback=True)
    await stack.tasks.wait(task["id"], "DONE")
    return task["id"]


async def answers_by_signal(stack: Recorded) -> str:
    """As an operator gives them with Temporal's own tools: one that is refused, accept, stop."""
    task = await stack.tasks.reviewable(SLOW)
    handle = await stack.handle(task["id"])
    await handle.signal("signal_accept_rfc")
    await stack.tasks.wait(task["id"], "EXECUTING")
    await handle.signal("signal_resume")
    await handle.signal("signal_stop")
    await stack.tasks.wait(task["id"], "STOPPED")
    return task["id"]


async def messages(stack: Recorded) -> str:
    """In the review they are comments; the agent reads later ones by itself."""
    task = await stack.tasks.reviewable({"steps": 40, "step_seconds": 0.05})
    await stack.tasks.post(f"{task['id']}/messages", 201, body="Shorter.")
    task = await stack.revised(task)
    await stack.tasks.accept(task)
    await stack.tasks.post(f"{task['id']}/messages", 201, body="And faster.")
    await stack.tasks.wait(task["id"], "DONE")
    return task["id"]


async def stop_and_resume(stack: Recorded) -> str:
    path = await stack.tasks.executing({"steps": 40, "step_seconds": 0.05})
    for _ in range(2):
        await stack.tasks.post(f"{path}/stop")
        await stack.tasks.post(f"{path}/resume")
    await stack.tasks.wait(path, "DONE")
    return path


async def stop_in_review(stack: Recorded) -> str:
    task = await stack.tasks.reviewable(QUICK)
    await stack.tasks.post(f"{task['id']}/stop")
    await stack.tasks.post(f"{task['id']}/resume")
    return await stack.accepted(await stack.tasks.wait(task["id"], "WAIT_RFC"))


async def stop_while_planning(stack: Recorded) -> str:
    """The plan takes longer than the grace: it is cut, and made anew."""
    path = await stack.tasks.started({**QUICK, "plan_seconds": 6.0})
    await stack.tasks.wait(path, "PLANNING")
    await stack.tasks.post(f"{path}/stop")
    await stack.tasks.post(f"{path}/resume")
    return await stack.accepted(await stack.tasks.wait(path, "WAIT_RFC"))


async def edit(stack: Recorded) -> str:
    """Another prompt while it is stopped: it is planned and reviewed once more."""
    task = await stack.tasks.reviewable(QUICK)
    await stack.tasks.post(f"{task['id']}/stop")
    answer = await stack.tasks.client.patch(f"/api/tasks/{task['id']}", json={"prompt": "Another one."})
    assert answer.status_code == 200, answer.text
    await stack.tasks.post(f"{task['id']}/resume")
    return await stack.accepted(await stack.tasks.wait(task["id"], "WAIT_RFC"))


async def failure(stack: Recorded) -> str:
    path = await stack.tasks.started(FAILING, auto_accept=True)
    await stack.tasks.wait(path, "FAILED")
    await stack.tasks.post(f"{path}/resume")

    async def again() -> bool:
        return types(await stack.tasks.events(path)).count("retry") >= 5

    await until(again)
    await stack.tasks.post(f"{path}/stop")
    return path


async def failing_plan(stack: Recorded) -> str:
    path = await stack.tasks.started({"at": "plan"}, agent_type="unruly-inside")
    await stack.tasks.wait(path, "FAILED")
    return path


async def move_on(stack: Recorded) -> str:
    """A rollout's: the attempt ends at its next step boundary."""
    path = await stack.tasks.executing({"steps": 60, "step_seconds": 0.05})
    handle = await stack.handle(path)
    first = (await handle.describe()).run_id
    await handle.signal("move_on")
    await stack.moved(handle, first)
    await stack.tasks.wait(path, "DONE")
    return path


async def move_on_in_review(stack: Recorded) -> str:
    task = await stack.tasks.reviewable(QUICK)
    handle = await stack.handle(task["id"])
    first = (await handle.describe()).run_id
    await handle.signal("move_on")
    await stack.moved(handle, first)
    return await stack.accepted(await stack.reviewed(task, "Shorter."))


async def continue_as_new(stack: Recorded) -> str:
    """Signals without end, which change nothing but the history's length."""
    path = await stack.tasks.executing({"steps": 10_000, "step_seconds": 0.02})
    handle = await stack.handle(path)
    first = (await handle.describe()).run_id
    while (await handle.describe()).run_id == first:
        await asyncio.gather(*(handle.signal("signal_accept_rfc") for _ in range(20)))
    await stack.tasks.post(f"{path}/stop")
    return path


async def quick(stack: Recorded) -> str:
    """All of it in the first stretch, inside the workflow task."""
    return await _quick(stack, {"steps": 5, "seconds": 0})


async def quick_that_lasts(stack: Recorded) -> str:
    """It goes on as an activity of its own."""
    return await _quick(stack, {"steps": 5, "seconds": 0.5})


async def quick_that_is_stopped(stack: Recorded) -> str:
    """Its step outlasts the first stretch's workflow task and the grace of a stop: it is cut."""
    options = {"steps": 2, "seconds": 8, "log": str(stack.folder / "calls")}
    path = await stack.tasks.started(options, agent_type="quick", auto_accept=True)
    await stack.tasks.wait(path, "EXECUTING")
    await stack.tasks.post(f"{path}/stop")
    await stack.tasks.wait(path, "STOPPED")
    return path


async def _quick(stack: Recorded, options: dict[str, Any]) -> str:
    options = {**options, "log": str(stack.folder / "calls")}
    path = await stack.tasks.started(options, agent_type="quick", auto_accept=True)
    await stack.tasks.wait(path, "DONE")
    return path


async def write_that_waits(stack: Recorded) -> str:
    """PostgreSQL keeps the acceptance waiting: it leaves the workflow task."""
    task = await stack.tasks.reviewable(QUICK)
    async with await psycopg.AsyncConnection.connect(stack.database_url) as connection:
        await connection.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", [task["id"]])
        accepting = asyncio.create_task(stack.tasks.accept(task))
        await asyncio.wait({accepting}, timeout=LOCK_SECONDS)
    await accepting
    await stack.tasks.wait(task["id"], "DONE")
    return task["id"]


SHAPES: dict[str, Callable[[Recorded], Awaitable[str]]] = {
    shape.__name__: shape
    for shape in (
        *(auto_accept, review_and_revise, accept_with_open_comments, answers_by_signal, messages),
        *(stop_and_resume, stop_in_review, stop_while_planning, edit, failure, failing_plan),
        *(move_on, move_on_in_review, continue_as_new, write_that_waits),
        *(quick, quick_that_lasts, quick_that_is_stopped),
    )
}
FIRST = {"auto_accept", "review_and_revise", "stop_and_resume", "stop_in_review", "failure", "continue_as_new"}
"""The shapes that v1 has, of a time when an attempt was many calls of the agent."""
