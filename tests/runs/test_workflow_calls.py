"""No worker, a busy one and a slow one are told apart; short writes never wait behind agents; stops are durable."""

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import psycopg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import OutcomeUnknown
from pavo.runs import workflow_calls as module
from pavo.runs.kinds import FORMER_RECONCILE_TYPE
from pavo.runs.presence import Presence
from pavo.runs.schedules import FORMER_RECONCILIATION
from pavo.runs.workflow_calls import BUSY, NO_WORKER, SLOW, UNKNOWN
from pavo.tasks.commands import TaskCommands, TaskRun
from pavo.tasks.contracts import AcceptPlan
from tests.driving import QUICK, Tasks, until
from tests.parts import Part, Parts, free_port

BLOCKED = {"steps": 5_000, "step_seconds": 0.05}


@dataclass
class Own:
    """A queue of its own with its API, and the workers that a test starts."""

    queue: str
    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    commands: TaskCommands
    presence: Presence
    elsewhere: Presence
    """Of the same queue in another namespace, on the same Redis."""

    async def worker(self, **more: str) -> Part:
        return await self.parts.start("worker", **self.environment, **more)

    async def run_of(self, task_id: str) -> TaskRun:
        task = await self.tasks.get(task_id)
        return TaskRun(uuid.UUID(task_id), task["workflow_id"], task["run_id"], 1, auto_accept=False)


@pytest_asyncio.fixture
async def own(parts: Parts, settings: Settings, temporal: Client) -> AsyncIterator[Own]:
    queue, port = f"own-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    begun = len(parts.running)
    await parts.start("api", **environment)
    redis = build_redis(settings)
    presence = Presence(redis, temporal.namespace, queue)
    elsewhere = Presence(redis, "another-namespace", queue)
    commands = TaskCommands(temporal, queue, presence)
    headers = {"X-User-Email": f"{queue}@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield Own(queue, Tasks(client), parts, environment, commands, presence, elsewhere)
    for part in parts.running[begun:]:
        part.end()
    await redis.aclose()


async def until_workers(own: Own, count: int) -> None:
    async def there() -> bool:
        return await own.presence.workers() == count

    await until(there, what=f"{count} workers that listen")


async def test_no_worker_is_told_within_moments_and_a_frozen_one_is_busy(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await own.worker()
    task = await own.tasks.reviewable(QUICK)
    run = await own.run_of(task["id"])
    await until_workers(own, 1)
    monkeypatch.setattr(module, "ACCEPT_SECONDS", 0.5)
    monkeypatch.setattr(module, "BUSY_SECONDS", 2.0)
    worker.kill(signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown, match="too busy") as busy:
            await own.commands.stop(run)
        assert busy.value.extra["reason"] == BUSY
        assert await own.elsewhere.workers() == 0
    finally:
        worker.kill(signal.SIGCONT)
    worker.kill()
    await until_workers(own, 0)
    begun = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="No worker is there") as absent:
        await own.commands.done_reviewing(run, AcceptPlan(task["plan"]["hash"], "test"))
    assert absent.value.extra["reason"] == NO_WORKER
    assert time.monotonic() - begun < module.BUSY_SECONDS, "it waited for nobody"


async def test_a_worker_that_is_busy_for_a_while_is_waited_for(own: Own) -> None:
    worker = await own.worker()
    task = await own.tasks.reviewable(QUICK)
    await until_workers(own, 1)
    worker.kill(signal.SIGSTOP)
    stopping = asyncio.create_task(own.tasks.client.post(f"/api/tasks/{task['id']}/stop"))
    try:
        done, _ = await asyncio.wait({stopping}, timeout=module.ACCEPT_SECONDS + 1.5)
        assert not done, "it said no worker was there"
    finally:
        worker.kill(signal.SIGCONT)
    answer = await asyncio.wait_for(stopping, 30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stage"] == "WAIT_RFC"


async def test_a_stop_and_a_deletion_without_a_worker_say_so(own: Own) -> None:
    worker = await own.worker()
    task = await own.tasks.reviewable(QUICK)
    worker.kill()
    await until_workers(own, 0)
    answer = await own.tasks.client.post(f"/api/tasks/{task['id']}/stop")
    assert answer.status_code == 202 and "No worker is there" in answer.json()["detail"]
    refused = await own.tasks.client.delete(f"/api/tasks/{task['id']}")
    assert refused.status_code == 503 and "No worker is there" in refused.json()["detail"]
    await own.worker()
    assert (await own.tasks.wait(task["id"], "STOPPED"))["stage"] == "STOPPED"
    assert (await own.tasks.client.delete(f"/api/tasks/{task['id']}")).status_code == 204


async def test_a_worker_that_took_a_command_and_does_not_finish_is_slow(
    own: Own, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await own.worker()
    task = await own.tasks.reviewable(QUICK)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 2.0)
    with psycopg.connect(environment["DATABASE_URL"]) as locking:
        locking.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", [task["id"]])
        with pytest.raises(OutcomeUnknown, match="has not finished it") as slow:
            await own.commands.accept(await own.run_of(task["id"]), AcceptPlan(task["plan"]["hash"], "test"), seen=0)
    assert slow.value.extra["reason"] == SLOW
    await own.tasks.wait(task["id"], "DONE", seconds=40)


async def test_a_write_that_must_wait_for_the_database_does_not_wait_behind_agents(
    own: Own, environment: dict[str, str]
) -> None:
    """The only slot for agents is taken for minutes; the write leaves the workflow task and is done all the same."""
    await own.worker(PAVO_WORKER_TASKS="1")
    waiting = await own.tasks.reviewable(QUICK)
    executing = await own.tasks.executing(BLOCKED)
    with psycopg.connect(environment["DATABASE_URL"]) as locking:
        locking.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", [waiting["id"]])
        accepting = asyncio.create_task(own.tasks.accept(waiting))
        done, _ = await asyncio.wait({accepting}, timeout=12)  # beyond the ten seconds inside the workflow task
        assert not done
    await asyncio.wait_for(accepting, 30)
    assert (await own.tasks.get(waiting["id"]))["stage"] == "EXECUTING"
    assert (await own.tasks.get(executing))["stage"] == "EXECUTING", "its agent still has the slot"
    await own.tasks.post(f"{executing}/stop")
    await own.tasks.wait(waiting["id"], "DONE")


async def test_the_schedule_of_the_whole_namespace_is_replaced_by_one_for_each_queue(
    own: Own, temporal: Client
) -> None:
    action = ScheduleActionStartWorkflow(FORMER_RECONCILE_TYPE, id=FORMER_RECONCILIATION, task_queue=own.queue)
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
    former = await temporal.create_schedule(FORMER_RECONCILIATION, Schedule(action=action, spec=spec))
    try:
        await former.trigger()

        async def begun() -> bool:
            query = f"WorkflowType = '{FORMER_RECONCILE_TYPE}' AND TaskQueue = '{own.queue}'"
            rounds = temporal.list_workflows(f"{query} AND ExecutionStatus = 'Running'")
            return [each async for each in rounds] != []

        await until(begun, what="a round of the former schedule")
        await own.worker()

        async def replaced() -> bool:
            try:
                await former.describe()
            except RPCError as error:
                assert error.status == RPCStatusCode.NOT_FOUND
                return not await begun()
            return False

        await until(replaced, what="the end of the former schedule and its round")
        found = await temporal.get_schedule_handle(f"{FORMER_RECONCILIATION}:{own.queue}").describe()
        assert getattr(found.schedule.action, "task_queue", None) == own.queue
    finally:
        with contextlib.suppress(RPCError):
            await former.delete()


async def test_a_run_that_is_pinned_to_a_build_waits_for_its_workers_alone(own: Own) -> None:
    """Workers of another build live, but nobody will ever come to it: that is no busy worker."""
    own.environment["PAVO_WORKER_DEPLOYMENT"] = own.queue
    first = await own.worker(PAVO_WORKER_BUILD_ID="one")
    task = await own.tasks.reviewable(QUICK)
    run = await own.run_of(task["id"])
    await own.worker(PAVO_WORKER_BUILD_ID="two")
    await until_workers(own, 2)
    first.kill()
    await until_workers(own, 1)
    begun = time.monotonic()
    with pytest.raises(OutcomeUnknown) as absent:
        await own.commands.stop(run)
    assert absent.value.extra["reason"] == NO_WORKER
    assert time.monotonic() - begun < module.BUSY_SECONDS / 2


async def test_without_redis_nobody_knows_whether_a_worker_is_there(own: Own, temporal: Client) -> None:
    away = Redis(port=free_port(), retry=None)
    commands = TaskCommands(temporal, own.queue, Presence(away, temporal.namespace, own.queue))
    worker = await own.worker()
    task = await own.tasks.reviewable(QUICK)
    worker.kill()
    with pytest.raises(OutcomeUnknown, match="not known whether") as unknown:
        await commands.stop(await own.run_of(task["id"]))
    assert unknown.value.extra["reason"] == UNKNOWN
    await away.aclose()


@pytest.mark.parametrize(
    ("message", "status", "again"),
    [
        ("workflow update was aborted", RPCStatusCode.UNAVAILABLE, True),
        ("workflow operation can not be applied because workflow is closing", RPCStatusCode.RESOURCE_EXHAUSTED, True),
        ("Unable to perform workflow execution update", RPCStatusCode.FAILED_PRECONDITION, True),
        ("connection refused", RPCStatusCode.UNAVAILABLE, False),
        ("workflow not found", RPCStatusCode.NOT_FOUND, False),
    ],
)
async def test_an_update_that_the_server_has_let_go_is_sent_again(
    message: str, status: RPCStatusCode, again: bool
) -> None:
    sent: list[int] = []

    async def send() -> str:
        sent.append(len(sent))
        if len(sent) < 3:
            raise RPCError(message, status, b"")
        return "taken"

    async with module._Sending(send) as sending:
        if again:
            assert (await sending.taken_within(5), len(sent)) == ("taken", 3)
        else:
            with pytest.raises(RPCError, match=message):
                await sending.taken_within(5)
            assert len(sent) == 1


async def test_a_stop_whose_call_breaks_off_at_once_is_made_durable_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        async def start_update(self, *_: object, **__: object) -> None:
            raise WorkflowUpdateRPCTimeoutOrCancelledError

    async def signal() -> None:
        signalled.append("stop")

    signalled: list[str] = []
    calls = module.WorkflowCalls(None, "queue", None, {})
    monkeypatch.setattr(calls, "_handle", lambda _workflow_id: Broken())
    with pytest.raises(OutcomeUnknown) as unknown:
        await calls.update_and_wait("id", None, "stop:1", "stop", not_taken=signal)
    assert (signalled, unknown.value.extra["reason"]) == (["stop"], UNKNOWN)
