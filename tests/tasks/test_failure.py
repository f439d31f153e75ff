"""An agent's own errors: retried, explained, resumed."""

import asyncio
import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx2
from temporalio.client import Client

from tests.clock import Clock
from tests.driving import PATIENCE, Tasks, stages, ticks, types, until

ALL_DELAYS = timedelta(seconds=16)
"""Between the five failures of a step: 1 + 2 + 4 + 8 s."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_failing_step_is_retried_then_explained_and_resumable(
    tasks: Tasks, temporal: Client, clock: Clock
) -> None:
    path = await tasks.started({"steps": 5, "step_seconds": 0, "fail_at": 3}, auto_accept=True)
    await clock.forward(ALL_DELAYS, (await tasks.get(path))["workflow_id"])
    task = await tasks.wait(path, "FAILED")
    assert task["stage_status"] == "ERROR" and task["steps"] == 2
    error = task["error"]
    assert error["step"] == 3 and "fail_at" in error["cause"] and "resume" in error["remedy"]
    events = await tasks.events(path)
    retries = [(event["step"], event["attempt"]) for event in events if event["type"] == "retry"]
    assert retries == [(3, 1), (3, 2), (3, 3), (3, 4)]
    failed = next(event for event in events if event["type"] == "failed")
    assert failed["error"] == error and types(events)[-2:] == ["failed", "stage"]
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    stored = b"".join(event.SerializeToString() for event in history.events)  # its JSON has payloads as base64
    assert b"AgentError" in stored and error["cause"].encode() not in stored

    assert task["next_retry_at"] is None, "nothing is tried again by itself any more"

    await tasks.post(f"{path}/start", 409)
    await tasks.post(f"{path}/resume")

    async def tried_again() -> bool:
        found = await tasks.events(path)
        return types(found, "retry").count("retry") == 5

    await until(tried_again)
    assert (await tasks.get(path))["error"] is None
    receipt = await tasks.post(f"{path}/stop")
    assert (receipt["stage"], receipt["last_step"]) == ("EXECUTING", 2)
    found = await tasks.events(path)
    assert ticks(found) == [1, 2]
    assert stages(found) == ["INIT", "PLANNING", "EXECUTING", "FAILED", "EXECUTING", "STOPPED"]


async def test_when_a_failed_step_is_tried_again_is_told_and_true(tasks: Tasks) -> None:
    path = await tasks.started({"steps": 3, "step_seconds": 0, "fail_at": 2}, auto_accept=True)

    async def failed_thrice() -> bool:
        return types(await tasks.events(path), "retry").count("retry") == 3

    await until(failed_thrice)
    waits = await tasks.get(path)
    retries = [event for event in await tasks.events(path) if event["type"] == "retry"]
    assert waits["next_retry_at"] == retries[-1]["next_retry_at"], "the row and the event are one transaction's"
    listed = (await tasks.client.get("/api/tasks", params={"q": waits["id"]})).json()["items"]
    assert [item["next_retry_at"] for item in listed] == [waits["next_retry_at"]]
    told = [(moment(event["at"]), moment(event["next_retry_at"])) for event in retries]
    for (failed, again), delay in zip(told, (1, 2, 4), strict=True):
        assert delay - 1 < (again - failed).total_seconds() < delay + 0.5
    for (_, again), (tried, _) in pairwise(told):
        assert again <= tried < again + timedelta(seconds=5), "it was tried then, and not before"
    await tasks.post(f"{path}/stop")
    assert (await tasks.get(path))["next_retry_at"] is None


async def followed(client: httpx2.AsyncClient, path: str, last: int = 0) -> tuple[int, list[dict[str, Any]], str]:
    """The stream with `?until=end`, which has to end by itself: status, events, and its last comment."""
    headers = {"Last-Event-ID": str(last)} if last else {}
    async with asyncio.timeout(PATIENCE):
        response = await client.get(f"{path}/stream", params={"until": "end"}, headers=headers)
    lines = response.text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return response.status_code, events, next((line for line in reversed(lines) if line.startswith(":")), "")


async def test_streams_of_failed_and_stopped_tasks_end_where_it_is_asked_for(tasks: Tasks, clock: Clock) -> None:
    path = await tasks.started({"steps": 3, "step_seconds": 0, "fail_at": 2}, auto_accept=True)
    url = f"/api/tasks/{path}"
    following = asyncio.create_task(followed(tasks.client, url))
    await clock.forward(ALL_DELAYS, (await tasks.get(path))["workflow_id"])
    status, live, said = await following
    assert status == 200 and live[-1]["stage"] == "FAILED" and said.startswith(": ended: nothing goes on by itself")
    assert live == await tasks.events(path), "it ended with everything told"
    assert (await followed(tasks.client, url, live[-1]["seq"]))[0] == 204, "an EventSource does not come again"
    assert (await tasks.client.patch(url, json={"title": "Another"})).status_code == 200
    status, more, _ = await followed(tasks.client, url, live[-1]["seq"])
    assert status == 200 and types(more, "edited") == ["edited"], "what came after the failure is told too"

    await tasks.post(f"{path}/resume")
    await tasks.post(f"{path}/stop")
    _, stopped, _ = await followed(tasks.client, url)
    assert stages(stopped)[-1] == "STOPPED" and "FAILED" in stages(stopped), "it did not end with the failure of before"
