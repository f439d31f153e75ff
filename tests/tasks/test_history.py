"""Histories stay small at any length of a task, and hold ids only."""

import uuid

from temporalio.client import Client, WorkflowHistory

from pavo.runs.story import MAX_HISTORY_EVENTS
from tests.driving import Tasks, ticks
from tests.parts import Parts, free_port

SECRET = "the-prompt-that-no-history-may-hold"
STEPS = 1_080
BATCH = 4


async def histories(temporal: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The history of every run of a workflow."""
    query = f"WorkflowId = '{workflow_id}'"
    return [history async for history in temporal.list_workflows(query).map_histories()]


async def test_long_task_continues_as_new_with_small_histories(parts: Parts, temporal: Client) -> None:
    import httpx2

    queue, port = f"long-{uuid.uuid4().hex[:8]}", str(free_port())
    own = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_BATCH_STEPS": str(BATCH)}
    processes = [await parts.start("worker", **own), await parts.start("api", **own)]
    headers = {"X-User-Email": "long@example.com"}
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            tasks = Tasks(client)
            options = {"steps": STEPS, "step_seconds": 0}
            path = await tasks.started(options, auto_accept=True, title=SECRET, prompt=SECRET)
            task = await tasks.wait(path, "DONE", seconds=120)
            assert ticks(await tasks.events(path)) == list(range(1, STEPS + 1))
    finally:
        for process in processes:
            process.end()
    runs = await histories(temporal, task["workflow_id"])
    assert len(runs) > 1, "it did not continue as new"
    for run in runs:
        assert len(run.events) <= 2_000
        assert SECRET not in run.to_json()
    assert max(len(run.events) for run in runs) > MAX_HISTORY_EVENTS


async def test_no_history_of_a_reviewed_task_holds_what_people_wrote(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable(title=SECRET, prompt=SECRET)
    path = task["id"]
    await tasks.post(f"{path}/documents/{task['plan']['document_id']}/feedback", 201, body=SECRET)
    await tasks.post(f"{path}/plan/done-reviewing")
    await tasks.accept(await tasks.wait(path, "WAIT_RFC"))
    task = await tasks.wait(path, "DONE")
    for run in await histories(temporal, task["workflow_id"]):
        assert SECRET not in run.to_json()
