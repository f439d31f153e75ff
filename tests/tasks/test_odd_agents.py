"""What an agent yields is recorded as it is or refused at once; and with a key no history tells what an error said."""

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import WrongPlanHash
from pavo.runs.presence import Presence
from pavo.tasks import contracts as c
from pavo.tasks.commands import TaskCommands, TaskRun
from pavo.temporal.client import connect
from pavo.timeline.publish import channel
from tests.clock import Clock
from tests.driving import Tasks, types
from tests.parts import Parts, free_port
from tests.tasks.odd_agents import KEPT, NUMBERS, SECRET, install


@dataclass
class Sealed:
    """A stack whose histories are encrypted, and which knows the odd agents."""

    tasks: Tasks
    temporal: Client
    """With the key."""
    queue: str


@pytest_asyncio.fixture(scope="module")
async def sealed(parts: Parts, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sealed]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    key, queue, port = base64.b64encode(os.urandom(32)).decode(), f"odd-{uuid.uuid4().hex[:8]}", str(free_port())
    own = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_TEMPORAL_CODEC_KEY": key}
    own["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    processes = [await parts.start("worker", **own), await parts.start("api", **own)]
    headers = {"X-User-Email": "odd@example.com"}
    temporal = await connect(settings.temporal.model_copy(update={"codec_key": SecretStr(key)}))
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        yield Sealed(Tasks(client), temporal, queue)
    for process in processes:
        process.end()


async def raw_history(temporal: Client, workflow_id: str, run_id: str | None) -> bytes:
    """What Temporal's server itself holds of a run."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=temporal.namespace, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id or "")
    )
    return (await temporal.workflow_service.get_workflow_execution_history(request)).SerializeToString()


@pytest.mark.parametrize("agent", ["odd", "odd_apart"])
async def test_a_checkpoint_comes_back_as_it_was_yielded(sealed: Sealed, agent: str, settings: Settings) -> None:
    tasks = sealed.tasks
    path = await tasks.create({}, agent_type=agent, auto_accept=True)
    async with Redis.from_url(settings.redis.url) as redis, redis.pubsub() as heard:
        await heard.subscribe(channel(uuid.UUID(path)))
        await tasks.post(f"{path}/start")
        live = [event async for _, event in tasks.stream(path)]
        published = live[:1]  # from before anybody listened
        async with asyncio.timeout(10):
            while published[-1]["seq"] < live[-1]["seq"]:
                message = await heard.get_message(ignore_subscribe_messages=True, timeout=1)
                published += [json.loads(message["data"])] if message else []
    assert (await tasks.get(path))["stage"] == "DONE"
    replayed = await tasks.events(path)
    streamed = [event async for _, event in tasks.stream(path)]
    measured = [next(event for event in events if event["type"] == "measured") for events in (live, replayed)]
    assert repr(measured[0]["v"]["numbers"]) == repr(NUMBERS) and measured[0]["v"] == KEPT
    # Which order members have, nobody promises; all else is the same to the letter.
    assert len({json.dumps(events, sort_keys=True) for events in (live, replayed, streamed, published)}) == 1
    came_back = next(event for event in replayed if event["type"] == "came_back")
    assert came_back["text"] == repr(sorted(KEPT.items()))


@pytest.mark.parametrize("agent", ["odd", "odd_apart"])
@pytest.mark.parametrize(("what", "says"), [("large", "64 bits"), ("uuid", "UUID"), ("deep", "deeper than 64")])
async def test_what_cannot_be_recorded_fails_the_task_at_once(sealed: Sealed, agent: str, what: str, says: str) -> None:
    path = await sealed.tasks.started({"what": what}, agent_type=agent, auto_accept=True)
    task = await sealed.tasks.wait(path, "FAILED", "DONE")
    assert task["stage"] == "FAILED" and says in task["error"]["cause"] and task["error"]["type"] == "AgentRefused"
    assert task["error"]["remedy"] and "retry" not in types(await sealed.tasks.events(path))


@pytest.mark.parametrize("reviewed", [False, True])
async def test_no_history_tells_what_an_error_said(
    sealed: Sealed, temporal: Client, clock: Clock, reviewed: bool
) -> None:
    tasks = sealed.tasks
    options = {"what": "good" if reviewed else "secret"}
    path = await tasks.started(options, agent_type="odd", auto_accept=not reviewed)
    if reviewed:
        plan = (await tasks.wait(path, "WAIT_RFC"))["plan"]
        await tasks.post(f"{path}/documents/{plan['document_id']}/feedback", 201, body="Tell me.")
        await tasks.post(f"{path}/plan/done-reviewing")
    await clock.forward(timedelta(seconds=16), (await tasks.get(path))["workflow_id"])
    task = await tasks.wait(path, "FAILED")
    assert SECRET in task["error"]["cause"]
    assert task["error"]["step"] == (None if reviewed else 1)
    handle = sealed.temporal.get_workflow_handle(task["workflow_id"])
    with pytest.raises(Exception) as failed:
        await asyncio.wait_for(handle.result(), 10)
    assert failed.value.__cause__ is not None
    history = await raw_history(temporal, task["workflow_id"], task["run_id"])
    assert b"Encoded failure" in history
    for told in (SECRET, "RuntimeError", "Traceback", 'File "'):
        assert told.encode() not in history, told


async def test_refusals_are_understood_through_the_seal(sealed: Sealed, settings: Settings) -> None:
    tasks = sealed.tasks
    task = await tasks.reviewable({}, agent_type="odd")
    redis = build_redis(settings)
    commands = TaskCommands(sealed.temporal, sealed.queue, Presence(redis, sealed.temporal.namespace, sealed.queue))
    generation = 1
    run = TaskRun(uuid.UUID(task["id"]), task["workflow_id"], task["run_id"], generation, auto_accept=False)
    with pytest.raises(WrongPlanHash, match="Another version") as wrong:
        await commands.accept(run, c.AcceptPlan("no-such-hash", "test"), seen=0)
    assert wrong.value.extra["current_hash"] == task["plan"]["hash"]
    await tasks.post(f"{task['id']}/documents/{task['plan']['document_id']}/feedback", 201, body="Wait.")
    refused = await tasks.post(f"{task['id']}/plan/accept", 409, hash=task["plan"]["hash"])
    assert refused["code"] == "UnaddressedFeedback"
    await tasks.post(f"{task['id']}/stop")
    await redis.aclose()
