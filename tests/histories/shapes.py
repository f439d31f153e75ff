"""The shapes of workflow histories that are recorded and replayed: name to a coroutine that makes one."""

from collections.abc import Awaitable, Callable

from tests.driving import QUICK, Tasks, types, until

FAILING = {"steps": 5, "step_seconds": 0, "fail_at": 3}


async def auto_accept(tasks: Tasks) -> str:
    path = await tasks.started(QUICK, auto_accept=True)
    await tasks.wait(path, "DONE")
    return path


async def review_and_revise(tasks: Tasks) -> str:
    task = await tasks.reviewable(QUICK)
    path = task["id"]
    await tasks.client.post(f"/api/tasks/{path}/plan/accept", json={"hash": "0" * 64})
    await tasks.post(f"{path}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    await tasks.post(f"{path}/plan/done-reviewing")

    async def second() -> bool:
        return (await tasks.get(path))["plan"]["version"] == 2

    await until(second)
    await tasks.accept(await tasks.wait(path, "WAIT_RFC"))
    await tasks.wait(path, "DONE")
    return path


async def stop_and_resume(tasks: Tasks) -> str:
    path = await tasks.executing({"steps": 40, "step_seconds": 0.02})
    for _ in range(2):
        await tasks.post(f"{path}/stop")
        await tasks.post(f"{path}/resume")
    await tasks.wait(path, "DONE")
    return path


async def stop_in_review(tasks: Tasks) -> str:
    task = await tasks.reviewable(QUICK)
    await tasks.post(f"{task['id']}/stop")
    await tasks.post(f"{task['id']}/resume")
    await tasks.accept(await tasks.wait(task["id"], "WAIT_RFC"))
    await tasks.wait(task["id"], "DONE")
    return task["id"]


async def failure(tasks: Tasks) -> str:
    path = await tasks.started(FAILING, auto_accept=True)
    await tasks.wait(path, "FAILED", seconds=40)
    await tasks.post(f"{path}/resume")

    async def again() -> bool:
        return types(await tasks.events(path)).count("retry") >= 5

    await until(again)
    await tasks.post(f"{path}/stop")
    return path


async def continue_as_new(tasks: Tasks) -> str:
    path = await tasks.started({"steps": 300, "step_seconds": 0}, auto_accept=True)
    await tasks.wait(path, "DONE", seconds=180)
    return path


SHAPES: dict[str, Callable[[Tasks], Awaitable[str]]] = {
    shape.__name__: shape
    for shape in (auto_accept, review_and_revise, stop_and_resume, stop_in_review, failure, continue_as_new)
}
