"""The quick ways of the usual transitions: each happens once, under its fence, or changes nothing at all."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import Superseded
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import listing
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.request_statements import COLUMNS, RequestStatements
from pavo.tasks.sql.transitions import begin_plan, end_attempt, open_lease, store_plan
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.wire.presenters import listed_task, task_out
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.timeline.publish import Publisher
from tests.driving import QUICK, Tasks
from tests.tasks.slots import nobody_waits

RUN = "a-run-of-temporal"
FENCE = d.Fence(RUN, 1, 1)
CONTENT: dict[str, Any] = {"summary": "", "steps": [{"title": "One", "detail": ""}]}


@pytest_asyncio.fixture
async def connections(database: Database) -> AsyncIterator[KeptConnections]:
    found = KeptConnections(database, 2)
    yield found
    await found.close()


def document(task_id: uuid.UUID, kind: str) -> NewDocument:
    status = "ACCEPTED" if kind == "PLAN" else "FINAL"
    return NewDocument(new_id(), task_id, kind, 1, status, d.content_hash(kind, 1, CONTENT), CONTENT, "text", "test")


async def new_task(tasks: Tasks) -> uuid.UUID:
    answer = await tasks.client.post("/api/tasks", json={"title": "By hand", "agent_options": QUICK})
    return uuid.UUID(answer.json()["id"])


async def test_each_transition_happens_once_and_only_under_its_fence(
    tasks: Tasks, database: Database, connections: KeptConnections
) -> None:
    task_id = await new_task(tasks)
    mine, other = TaskWriter(connections, database, "me"), TaskWriter(connections, database, "somebody else")
    plan = document(task_id, "PLAN")
    begun = await begin_plan.quick(mine, task_id, FENCE)
    assert begun is not None and begun[0].assignment.title == "By hand"
    assert begun[0].assignment.agent_options["steps"] == QUICK["steps"]
    assert await begin_plan.quick(mine, task_id, FENCE) is None

    for wrong in (replace(FENCE, transition=2), replace(FENCE, generation=2), replace(FENCE, transition=0)):
        assert await store_plan.quick(mine, task_id, wrong, plan) is None
    accepted = await store_plan.quick(mine, task_id, FENCE, plan)
    assert accepted is not None
    first = accepted[0]
    assert await store_plan.quick(mine, task_id, FENCE, document(task_id, "PLAN")) is None
    assert await begin_plan.accepted_before(mine, task_id, FENCE) == plan.hash
    assert await begin_plan.accepted_before(mine, task_id, replace(FENCE, transition=2)) is None

    async def take(writer: TaskWriter, fence: d.Fence = FENCE, plan_hash: str = plan.hash) -> Any:
        opened = await open_lease.quick(writer, task_id, fence, plan_hash, ended=False)
        return opened and opened[0].lease

    assert await take(mine, replace(FENCE, generation=2)) is None
    assert await take(mine, FENCE, "another hash") is None
    second = await take(mine)
    assert second is not None and second.epoch == first.epoch + 1
    assert await end_attempt.close_lease(mine, first, [events.progress(0)]) is None
    closed = await end_attempt.close_lease(mine, second, [events.progress(0)], died=True)
    assert closed is not None and closed[0] == 1
    third = await take(other)
    assert third is not None and third.deaths == 1

    fourth = await take(mine)
    assert fourth is not None and fourth.took_over and fourth.deaths == 1 and fourth.epoch == third.epoch + 1
    assert await end_attempt.close_lease(other, third, []) is None

    end, report = [events.stage(d.DONE)], document(task_id, "REPORT")
    last = replace(FENCE, transition=3)
    assert await end_attempt.finish(mine, second, last, report, end) is None
    assert await end_attempt.finish(mine, fourth, replace(last, transition=2), report, end) is None
    finished = await end_attempt.finish(mine, fourth, last, report, end)
    assert finished is not None and finished[-1].closes
    assert await end_attempt.finish(mine, fourth, last, document(task_id, "REPORT"), end) is None

    path = str(task_id)
    seen = await tasks.events(path)
    assert [event["type"] for event in seen] == [
        *("stage", "stage", "plan", "accepted", "stage", "progress", "recovered", "stage")
    ]
    assert seen[6]["step"] == 0
    assert (await tasks.get(path))["stage"] == d.DONE
    documents = (await tasks.client.get(f"/api/tasks/{path}/documents")).json()["items"]
    assert [(item["kind"], item["status"]) for item in documents] == [("PLAN", "ACCEPTED"), ("REPORT", "FINAL")]


async def test_many_callers_share_the_connections(connections: KeptConnections) -> None:
    rows = await asyncio.gather(*(connections.rows("SELECT %(n)s::int, pg_backend_pid()", {"n": n}) for n in range(40)))
    assert [row[0][0] for row in rows] == list(range(40))
    assert len({row[0][1] for row in rows}) <= 2


async def test_a_killed_connection_is_replaced(connections: KeptConnections, database: Database) -> None:
    from pavo.errors import Unavailable

    pid = (await connections.rows("SELECT pg_backend_pid()", {}))[0][0]
    async with database.autocommit() as connection:
        await connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(Unavailable):
        await connections.rows("SELECT 1", {})
    assert await connections.rows("SELECT 1", {}) == [(1,)]


async def test_what_follows_when_a_worker_dies_right_after_it_recorded_done(
    tasks: Tasks, settings: Settings, database: Database, connections: KeptConnections
) -> None:
    """Its attempt is repeated, or a stop comes before that: the task is and stays DONE."""
    path = await tasks.started(QUICK, auto_accept=True)
    task = await tasks.wait(path, "DONE")
    before = await tasks.events(path)
    redis = Redis.from_url(settings.redis.url)
    publisher, attempts = Publisher(redis), Attempts()
    hosting = Hosting(database, publisher, AgentRegistry.load(), CorpusService(database), HostLimits())
    writer = TaskWriter(connections, database, "the next worker")
    recorder = StepRecorder(database, publisher)
    fence = d.Fence(task["run_id"], 1, 1)

    planned = await Planner(hosting, writer, attempts).plan(c.MakePlan(path, fence, auto_accept=True), Interruption())
    assert not isinstance(planned, Cut) and planned.made.accepted and planned.opened is None
    executor = BatchExecutor(hosting, writer, recorder, attempts, nobody_waits(), 50)
    again = c.ExecuteBatch(path, replace(fence, transition=3), str(planned.made.plan_hash))
    assert await executor.run(again, Interruption()) == c.BatchDone(c.FINISHED, QUICK["steps"])
    with pytest.raises(Superseded):
        await executor.run(replace(again, fence=replace(fence, transition=2)), Interruption())

    stop = c.RecordStop(path, replace(fence, transition=4), step_cut=False)
    receipt = await TransitionRecorder(database, publisher).record_stop(stop)
    assert (receipt.stage, receipt.last_step) == (d.DONE, QUICK["steps"])
    failure = c.AgentFailure("Error", retryable=False)
    await TransitionRecorder(database, publisher).record_failure(
        c.RecordFailure(path, replace(fence, transition=5), failure, QUICK["steps"])
    )
    assert (await tasks.get(path))["stage"] == d.DONE
    assert await tasks.events(path) == before
    await redis.aclose()


async def test_a_task_reads_the_same_in_a_list_and_alone(
    tasks: Tasks, database: Database, connections: KeptConnections
) -> None:
    assert set(COLUMNS) == set(TaskRow.__table__.columns.keys())
    reviewed = await tasks.reviewable(QUICK, prompt="Why?")
    done = await tasks.wait(await tasks.started(QUICK, auto_accept=True), "DONE")
    for path in (await tasks.create(QUICK), reviewed["id"], done["id"]):
        alone = await RequestStatements(connections).find_task(uuid.UUID(path))
        assert alone is not None
        organisation = [alone.task.organisation_id]
        async with database.reading() as session:
            page = await listing.list_tasks(session, listing.Chosen(organisation), limit=100, cursor=None)
        listed = next(view for view in page if view.task.id == alone.task.id)
        whole, short = task_out(alone).model_dump(), listed_task(listed).model_dump()
        assert (short.pop("summary"), short["plan"] and short["plan"].pop("steps")) == (alone.task.prompt, None)
        if whole["plan"]:
            assert whole["plan"].pop("steps") == 5
        assert {name: whole[name] for name in short} == short
        loaded = [name for name in COLUMNS if name not in ("prompt", "agent_options", "error")]
        assert [getattr(alone.task, name) for name in loaded] == [getattr(listed.task, name) for name in loaded]
        assert task_out(alone).model_dump(mode="json") == await tasks.get(path)
    assert await RequestStatements(connections).find_task(uuid.uuid4()) is None


async def test_an_attempt_records_its_code_and_tells_when_it_is_not_that_of_the_attempt_before(
    tasks: Tasks, database: Database, connections: KeptConnections
) -> None:
    task_id = await new_task(tasks)
    codes = {"intern": "intern 1.0 (protocol 2)"}
    writer = TaskWriter(connections, database, "me", lambda: codes)
    plan = document(task_id, "PLAN")
    await begin_plan.begin_plan(writer, task_id, FENCE, auto_accept=True)
    assert (await tasks.get(task_id))["code"] == "intern 1.0 (protocol 2)"
    assert await store_plan.quick(writer, task_id, FENCE, plan) is not None

    async def told(now: str | None, *, ended: bool = True, holder: str = "me") -> list[str]:
        known = {} if now is None else {"intern": now}
        mine = TaskWriter(connections, database, holder, lambda: known)
        opened, recorded = await open_lease.open_lease(mine, task_id, FENCE, plan.hash, ended=ended)
        assert isinstance(opened, open_lease.Opened)
        return [f"{e.data['before']} > {e.data['now']}" if e.type == "code_changed" else e.type for e in recorded]

    assert await told("intern 1.0 (protocol 2)") == []
    assert await told("intern 1.1 (protocol 2)") == ["intern 1.0 (protocol 2) > intern 1.1 (protocol 2)"]
    assert await told("intern 1.1 (protocol 2)") == []
    assert await told(None) == [], "a worker of before tells nothing, and what is known stays"
    assert (await tasks.get(task_id))["code"] == "intern 1.1 (protocol 2)"
    taken = await told("intern 1.2 (protocol 2)", ended=False, holder="another")
    assert taken == ["recovered", "intern 1.1 (protocol 2) > intern 1.2 (protocol 2)"]
    assert await told("intern 1.2 (protocol 2)", ended=False, holder="a third") == ["recovered"]
    found = [event for event in await tasks.events(task_id) if event["type"] == "code_changed"]
    assert [event["step"] for event in found] == [0, 0]
