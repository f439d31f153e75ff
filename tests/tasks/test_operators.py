"""What operators do with Temporal's own tools, and bridges with Redis."""

import asyncio
import json
from typing import Any

from redis.asyncio import Redis
from temporalio.client import Client

from pavo.config import Settings
from pavo.tasks.workflow import AgentTask
from tests.driving import SLOW, Tasks, types, until


async def test_signals_and_query(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable(SLOW)
    handle = temporal.get_workflow_handle(task["workflow_id"])
    status = await handle.query(AgentTask.query_status)
    assert (status.task_id, status.phase, status.plan_hash) == (task["id"], "review", task["plan"]["hash"])
    assert (status.stopping, status.paused, status.accepted) == (False, True, False)

    await tasks.post(f"{task['id']}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    await handle.signal("signal_accept_rfc")  # refused: there is feedback
    await handle.signal("signal_resume")

    async def second() -> bool:
        plan = (await tasks.get(task["id"]))["plan"]
        return plan["version"] == 2 and plan["status"] == "REVIEW"

    await until(second)
    await handle.signal("signal_accept_rfc")
    await tasks.wait(task["id"], "EXECUTING")
    status = await handle.query(AgentTask.query_status)
    assert (status.stopping, status.paused, status.accepted) == (False, False, True)
    await handle.signal("signal_stop")
    await tasks.wait(task["id"], "STOPPED")
    status = await handle.query(AgentTask.query_status)
    assert (status.stopping, status.paused, status.accepted) == (True, True, True)
    events = await tasks.events(task["id"])
    assert types(events, "plan", "accepted", "stopped") == ["plan", "plan", "accepted", "stopped"]


async def test_generic_query_of_the_raw_name(tasks: Tasks, temporal: Client) -> None:
    task = await tasks.reviewable()
    answer: Any = await temporal.get_workflow_handle(task["workflow_id"]).query("query_status")
    assert answer["generation"] == 1 and answer["stopping"] is False


async def test_redis_carries_the_same_json(tasks: Tasks, settings: Settings) -> None:
    redis = Redis.from_url(settings.redis.url)
    path = await tasks.create({"steps": 30, "step_seconds": 0}, auto_accept=True)
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(f"sse:{path}")
        await pubsub.get_message(timeout=5)
        await tasks.post(f"{path}/start")
        heard: list[dict[str, Any]] = []

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    heard.append(json.loads(message["data"]))
                    if heard[-1].get("stage") == "DONE":
                        return

        await asyncio.wait_for(listen(), 20)
    await redis.aclose()
    events = await tasks.events(path)
    assert sorted(heard, key=lambda event: event["seq"]) == events[1:]
