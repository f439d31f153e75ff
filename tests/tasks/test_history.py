"""Histories stay small at any length of a task, and hold ids only."""

import asyncio

from temporalio.client import Client, WorkflowHistory

from pavo.runs.story import MAX_HISTORY_EVENTS
from tests.driving import Tasks, ticks, types, until

SECRET = "the-prompt-that-no-history-may-hold"
STEPS = 1_080


async def histories(temporal: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The history of every run of a workflow."""
    query = f"WorkflowId = '{workflow_id}'"
    return [history async for history in temporal.list_workflows(query).map_histories()]


def stored(run: WorkflowHistory) -> bytes:
    """All of a run's history as it lies there; its JSON has what was sent as base64, in which nothing is found."""
    return b"".join(event.SerializeToString() for event in run.events)


async def test_a_long_task_has_a_short_history(tasks: Tasks, temporal: Client) -> None:
    path = await tasks.started({"steps": STEPS, "step_seconds": 0}, auto_accept=True, title=SECRET, prompt=SECRET)
    task = await tasks.wait(path, "DONE")
    found = await tasks.events(path)
    assert ticks(found) == list(range(1, STEPS + 1))
    told = [event["steps"] for event in found if event["type"] == "progress"]
    assert told == [*range(50, STEPS, 50), STEPS]
    [run] = await histories(temporal, task["workflow_id"])
    assert len(run.events) < 15
    assert SECRET.encode() not in stored(run)


async def test_commands_without_end_make_a_run_continue_as_new(tasks: Tasks, temporal: Client) -> None:
    """Its attempt ends at a step boundary for that, by a reason of its own that counts nowhere."""
    path = await tasks.executing({"steps": 10_000, "step_seconds": 0.02})
    workflow_id = (await tasks.get(path))["workflow_id"]
    handle = temporal.get_workflow_handle(workflow_id)
    first = (await handle.describe()).run_id
    while (await handle.describe()).run_id == first:
        # The answer that it has had already: a signal that is heard, and changes nothing.
        await asyncio.gather(*(handle.signal("signal_accept_rfc") for _ in range(20)))
    reached = (await tasks.get(path))["steps"]

    async def further() -> bool:
        return (await tasks.get(path))["steps"] > reached

    await until(further)
    await tasks.post(f"{path}/stop")
    found = await tasks.events(path)
    assert ticks(found) == list(range(1, len(ticks(found)) + 1))
    assert not {"retry", "recovered", "failed"} & set(types(found))
    runs = await histories(temporal, workflow_id)
    assert len(runs) == 2
    assert MAX_HISTORY_EVENTS < max(len(run.events) for run in runs) <= 2_000
    assert sum(event.HasField("activity_task_scheduled_event_attributes") for event in runs[0].events) <= 2


async def test_no_history_of_a_reviewed_task_holds_what_people_wrote(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable(title=SECRET, prompt=SECRET)
    path = task["id"]
    await tasks.post(f"{path}/documents/{task['plan']['document_id']}/feedback", 201, body=SECRET)
    await tasks.post(f"{path}/plan/done-reviewing")
    await tasks.accept(await tasks.wait(path, "WAIT_RFC"))
    task = await tasks.wait(path, "DONE")
    accepted = next(event["by_user"] for event in await tasks.events(path) if event["type"] == "accepted")
    assert "@" in accepted["email"]
    shown = [each.raw_info async for each in temporal.list_workflows(f"WorkflowId = '{task['workflow_id']}'")]
    whole = b"".join(
        [*map(stored, await histories(temporal, task["workflow_id"])), *(each.SerializeToString() for each in shown)]
    )
    assert accepted["id"].encode() in whole, "what is looked through is what was sent"
    assert SECRET.encode() not in whole and accepted["email"].encode() not in whole
