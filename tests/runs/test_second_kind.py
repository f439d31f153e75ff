"""What every durable kind shares, shown by a second one that no line of Pavo knows: its tests bring it."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from pavo.bootstrap import SLICES, build_redis
from pavo.config import Settings
from pavo.deploy.checks.replay import replay_open
from pavo.deploy.rollout import draining, worker_versions
from pavo.errors import Conflict
from pavo.kit.sql import Database
from pavo.runs.kinds import RunningRow
from pavo.runs.presence import Presence
from pavo.runs.reconcile import Reconciler
from pavo.runs.schedules import schedule_id
from pavo.runs.workflow_calls import Start, WorkflowCalls
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.worker import workflows
from tests.driving import until
from tests.parts import Part, Parts, free_port
from tests.runs import counter
from tests.runs.counter_workflow import REFUSED_NEGATIVE, Counter, CounterInput

BOTH = (*SLICES, counter)


class Negative(Exception):
    """A counter refused to count down."""


@dataclass
class Counters:
    """A queue of its own, its commands, and the workers that a test starts."""

    queue: str
    calls: WorkflowCalls
    database: Database
    parts: Parts
    environment: dict[str, str]

    async def worker(self, build_id: str = "") -> Part:
        own = {"PAVO_WORKER_BUILD_ID": build_id, **self.environment}
        return await self.parts.start("worker", slices=["tests.runs.counter"], **own)

    async def started(self, full_at: int = 10) -> uuid.UUID:
        counter_id = await counter.create(self.database)
        argument = CounterInput(str(counter_id), 1, full_at)
        start = Start(Counter.run, argument, counter.workflow_id(counter_id))
        assert await self.calls.start(start) is not None
        assert await self.calls.start(start) is None, "started twice"
        return counter_id

    async def add(self, counter_id: uuid.UUID, number: int, key: str) -> int:
        return await self.calls.update_and_wait(counter.workflow_id(counter_id), Counter.add, key, "add", [number])

    async def events(self, counter_id: uuid.UUID) -> list[Event]:
        async with self.database.reading() as session:
            return await timeline.read_after(session, counter_id, 0, 100)

    async def until_stage(self, counter_id: uuid.UUID, stage: str) -> counter.CounterRow:
        async def there() -> counter.CounterRow | None:
            row = await counter.find(self.database, counter_id)
            return row if row.stage == stage else None

        return await until(there, what=f"stage {stage}")


@pytest_asyncio.fixture
async def counters(parts: Parts, settings: Settings, temporal: Client, database: Database) -> AsyncIterator[Counters]:
    queue = f"counters-{uuid.uuid4().hex[:8]}"
    redis = build_redis(settings)
    refusals = {REFUSED_NEGATIVE: lambda refusal: Negative(refusal.message)}
    calls = WorkflowCalls(temporal, queue, Presence(redis, temporal.namespace, queue), refusals)
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_WORKER_DEPLOYMENT": queue}
    begun = len(parts.running)
    yield Counters(queue, calls, database, parts, environment)
    for part in parts.running[begun:]:
        part.end()
    for name in (schedule_id(counter.BEAT, queue), f"pavo-reconcile:{queue}"):
        with contextlib.suppress(RPCError):  # a worker that was ended early has not made it
            await temporal.get_schedule_handle(name).delete()
    await redis.aclose()


async def test_it_is_started_commanded_refused_stopped_and_told_in_its_timeline(counters: Counters) -> None:
    await counters.worker()
    first, second = await counters.started(full_at=5), await counters.started()
    assert await counters.add(first, 2, "a") == 2
    assert await counters.add(first, 2, "a") == 2, "the same id takes effect once"
    with pytest.raises(Negative, match="only counts up"):
        await counters.add(first, -1, "b")
    assert await counters.add(first, 3, "c") == 5
    row = await counters.until_stage(first, "FULL")
    assert (row.count, row.generation) == (5, 1)
    events = await counters.events(first)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data.get("count") for event in events] == [None, 0, 2, 5, 5]
    await counters.calls.update_and_wait(counter.workflow_id(second), Counter.stop, "stop", "stop")
    await counters.until_stage(second, "STOPPED")


async def test_its_schedule_runs_on_its_own_queue(counters: Counters, temporal: Client) -> None:
    await counters.worker()
    found = temporal.get_schedule_handle(schedule_id(counter.BEAT, counters.queue))

    async def beaten() -> bool:
        done = temporal.list_workflows(
            f"WorkflowType = 'TestCounterBeat' AND TaskQueue = '{counters.queue}' AND ExecutionStatus = 'Completed'"
        )
        return [each async for each in done] != []

    await until(beaten, what="a beat of the schedule")
    action = (await found.describe()).schedule.action
    assert getattr(action, "task_queue", None) == counters.queue


async def test_a_lost_run_is_explained_and_the_other_kinds_are_compared_all_the_same(
    counters: Counters, temporal: Client
) -> None:
    await counters.worker()
    lost, alive = await counters.started(), await counters.started()
    await counters.until_stage(lost, "COUNTING")
    await counters.until_stage(alive, "COUNTING")
    await temporal.get_workflow_handle(counter.workflow_id(lost)).terminate("by the test")

    class Broken(counter.CounterRows):
        def running(self, age: object) -> object:
            raise ConnectionError("its table is gone")

    rows = counter.CounterRows(counters.database)
    reconciler = Reconciler([(counter.KIND, Broken(counters.database)), (counter.KIND, rows)], temporal)  # pyright: ignore
    old = counter.update(counter.CounterRow).values(updated_at=counter.func.pavo_now() - counter.timedelta(minutes=1))
    async with counters.database.transaction() as session:
        await session.execute(old)
    with pytest.raises(ConnectionError, match="its table is gone"):
        await reconciler.reconcile_runs()
    assert (await counters.until_stage(lost, "LOST")).count == 0
    assert (await counter.find(counters.database, alive)).stage == "COUNTING"
    told = (await counters.events(lost))[-1]
    assert told.type == "lost" and "terminated" in told.data["cause"] and "counter" in told.data["cause"]
    assert await Reconciler([(counter.KIND, rows)], temporal).reconcile_runs() == 0


async def test_one_that_cannot_be_explained_keeps_no_other_from_it(counters: Counters, temporal: Client) -> None:
    await counters.worker()
    bad, lost = await counters.started(), await counters.started()
    for each in (bad, lost):
        await counters.until_stage(each, "COUNTING")
        await temporal.get_workflow_handle(counter.workflow_id(each)).terminate("by the test")
    old = counter.update(counter.CounterRow).values(updated_at=counter.func.pavo_now() - counter.timedelta(minutes=1))
    async with counters.database.transaction() as session:
        await session.execute(old)

    class Broken(counter.CounterRows):
        async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
            found = [each async for each in super().running(age)]
            for row in sorted(found, key=lambda each: each.subject_id != bad):
                yield row

        async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
            if row.subject_id == bad:
                raise ValueError("its timeline is gone")
            return await super().explain(row, cause, remedy)

    assert await Reconciler([(counter.KIND, Broken(counters.database))], temporal).compare() >= 1
    assert (await counter.find(counters.database, lost)).stage == "LOST"
    assert (await counter.find(counters.database, bad)).stage == "COUNTING"


async def test_the_products_own_round_explains_it(counters: Counters, temporal: Client) -> None:
    await counters.worker()
    lost = await counters.started()
    await counters.until_stage(lost, "COUNTING")
    await temporal.get_workflow_handle(counter.workflow_id(lost)).terminate("by the test")
    old = counter.update(counter.CounterRow).values(updated_at=counter.func.pavo_now() - counter.timedelta(minutes=1))
    async with counters.database.transaction() as session:
        await session.execute(old)
    schedule = temporal.get_schedule_handle(f"pavo-reconcile:{counters.queue}")

    async def triggered() -> bool:
        try:
            await schedule.trigger()
        except RPCError:  # a worker that has just begun has not made it yet
            return False
        return True

    await until(triggered, what="the schedule")
    await counters.until_stage(lost, "LOST")


async def test_a_rollout_counts_drains_and_moves_it(counters: Counters, temporal: Client) -> None:
    queue = counters.queue
    await counters.worker("v1")
    ids = [await counters.started() for _ in range(3)]
    for number, counter_id in enumerate(ids, 1):
        await counters.add(counter_id, number, "before")

    async def pinned() -> bool:
        found = await worker_versions.describe(temporal, queue, queue)
        return {version.build_id: version.runs for version in found.versions} == {"v1": 3}

    await until(pinned, what="three runs pinned to v1")
    await counters.worker("v2")
    await worker_versions.set_current(temporal, queue, "v2", queue)
    assert (await worker_versions.describe(temporal, queue, queue)).behind == {"v1": 3}
    drained = await draining.drain(temporal, queue, queue, seconds=30)
    assert (drained.left, drained.woken) == ({}, 3)
    for number, counter_id in enumerate(ids, 1):
        assert await counters.add(counter_id, 1, "after") == number + 1
    replayed = await replay_open(temporal, queue, workflows(BOTH), limit=100)
    assert (replayed.broken, replayed.looked_at >= 3) == ((), True)


async def test_it_is_counted_in_the_metrics_and_its_workflows_without_a_worker_wait(
    counters: Counters, temporal: Client
) -> None:
    worker = await counters.worker()
    counter_id = await counters.started()
    await counters.until_stage(counter_id, "COUNTING")
    port = free_port()
    api = await counters.parts.start("api", slices=["tests.runs.counter"], PAVO_PORT=str(port), **counters.environment)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        text = (await client.get("/metrics")).text
        assert 'pavo_runs{kind="counter",stage="COUNTING"}' in text
        assert 'pavo_runs{kind="task",stage="DONE"}' in text

        said: dict[str, str] = {}

        async def reconciled() -> bool:
            said.update((await client.get("/readyz")).json())
            return said["reconciled"] == "ok"

        try:
            await until(reconciled, what="a reconciliation of every kind")
        except AssertionError as late:
            raise AssertionError(f"{late}: {said}; {api.log.read_text()[-3000:]}") from None
    worker.end()
    handle = temporal.get_workflow_handle(counter.workflow_id(counter_id))
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING


async def test_an_unknown_refusal_is_a_conflict(counters: Counters, temporal: Client) -> None:
    await counters.worker()
    plain = WorkflowCalls(temporal, counters.queue, counters.calls._presence, {})  # pyright: ignore[reportPrivateUsage]
    counter_id = await counters.started()
    with pytest.raises(Conflict, match="only counts up"):
        await plain.update_and_wait(counter.workflow_id(counter_id), Counter.add, "x", "add", [-1])
