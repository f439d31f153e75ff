"""The quick ways of the usual transitions: each happens once, under its fence, or changes nothing at all."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.agents.host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import Superseded
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.presenters import task_out
from pavo.tasks.records import TransitionRecorder
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.request_statements import COLUMNS, RequestStatements
from pavo.tasks.sql.statements import Statements
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor, BatchLimits
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.recorder import StepRecorder
from pavo.timeline.publish import Publisher
from tests.driving import QUICK, Tasks

RUN = "a-run-of-temporal"
FENCE = d.Fence(RUN, 1, 1)
CONTENT: dict[str, Any] = {"summary": "", "steps": [{"title": "One", "detail": ""}]}


@pytest_asyncio.fixture
async def connections(database: Database) -> AsyncIterator[KeptConnections]:
    found = KeptConnections(database, 2)
    yield found
    await found.close()


def document(kind: str) -> dict[str, Any]:
    row = {"id": new_id(), "kind": kind, "version": 1, "hash": d.content_hash(kind, 1, CONTENT)}
    accepted = {"accepted_by": "test", "accepted_at": None}
    return {**row, "content": CONTENT, "body": "text", "status": "ACCEPTED" if kind == "PLAN" else "FINAL", **accepted}


async def new_task(tasks: Tasks) -> uuid.UUID:
    answer = await tasks.client.post("/api/tasks", json={"title": "By hand", "agent_options": QUICK})
    return uuid.UUID(answer.json()["id"])


async def test_each_transition_happens_once_and_only_under_its_fence(
    tasks: Tasks, connections: KeptConnections
) -> None:
    task_id = await new_task(tasks)
    mine, other = Statements(connections, "me"), Statements(connections, "somebody else")
    plan, shown = document("PLAN"), [events.stage(d.PLANNING)]
    begun = await mine.begin_plan(task_id, FENCE, shown)
    assert begun is not None and begun[0].title == "By hand" and begun[0].agent_options["steps"] == QUICK["steps"]
    assert await mine.begin_plan(task_id, FENCE, shown) is None

    new = [events.stage(d.EXECUTING)]
    for wrong in (replace(FENCE, transition=2), replace(FENCE, generation=2), replace(FENCE, transition=0)):
        assert await mine.accept_by_policy(task_id, wrong, plan, new) is None
    accepted = await mine.accept_by_policy(task_id, FENCE, plan, new)
    assert accepted is not None
    first = accepted[0]
    assert await mine.accept_by_policy(task_id, FENCE, document("PLAN"), new) is None
    assert await mine.accepted_plan(task_id, FENCE) == plan["hash"]
    assert await mine.accepted_plan(task_id, replace(FENCE, transition=2)) is None

    assert await mine.open_lease(task_id, replace(FENCE, generation=2), plan["hash"]) is None
    assert await mine.open_lease(task_id, FENCE, "another hash") is None
    second = await mine.open_lease(task_id, FENCE, plan["hash"])
    assert second is not None and second[0].epoch == first.epoch + 1
    assert await mine.close_lease(first, [events.progress(0)]) is None
    closed = await mine.close_lease(second[0], [events.progress(0)], died=True)
    assert closed is not None and closed[0] == 1
    third = await other.open_lease(task_id, FENCE, plan["hash"])
    assert third is not None and third[0].deaths == 1

    died = await mine.open_lease(task_id, FENCE, plan["hash"])
    assert died is not None and died[0].took_over and died[0].deaths == 2 and died[0].epoch == third[0].epoch + 1
    assert [event.data["step"] for event in died[3]] == [0]
    assert await other.close_lease(third[0], []) is None
    third = died

    end, report = [events.stage(d.DONE)], document("REPORT")
    last = replace(FENCE, transition=3)
    assert await mine.finish(second[0], last, report, end) is None
    assert await mine.finish(third[0], replace(last, transition=2), report, end) is None
    finished = await mine.finish(third[0], last, report, end)
    assert finished is not None and finished[-1].closes
    assert await mine.finish(third[0], last, document("REPORT"), end) is None

    path = str(task_id)
    assert [event["type"] for event in await tasks.events(path)] == [
        *("stage", "stage", "stage", "progress", "recovered", "stage")
    ]
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
    statements = Statements(connections, "the next worker")
    recorder = StepRecorder(database, publisher)
    fence = d.Fence(task["run_id"], 1, 1)

    planned = await Planner(hosting, statements, attempts).plan(
        c.MakePlan(path, fence, auto_accept=True), Interruption()
    )
    assert not isinstance(planned, Cut) and planned.made.accepted and planned.opened is None
    executor = BatchExecutor(hosting, statements, recorder, attempts, BatchLimits(50, 30))
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


async def test_a_task_reads_the_same_both_ways(tasks: Tasks, database: Database, connections: KeptConnections) -> None:
    assert set(COLUMNS) == set(TaskRow.__table__.columns.keys())
    reviewed = await tasks.reviewable(QUICK, prompt="Why?")
    done = await tasks.wait(await tasks.started(QUICK, auto_accept=True), "DONE")
    for path in (await tasks.create(QUICK), reviewed["id"], done["id"]):
        quick = await RequestStatements(connections).find_task(uuid.UUID(path))
        async with database.reading() as session:
            slow = await repository.find_task(session, uuid.UUID(path))
        assert quick is not None and slow is not None
        assert task_out(quick) == task_out(slow)
        assert {name: getattr(quick.task, name) for name in COLUMNS} == {
            name: getattr(slow.task, name) for name in COLUMNS
        }
        assert task_out(quick).model_dump(mode="json") == await tasks.get(path)
    assert await RequestStatements(connections).find_task(uuid.uuid4()) is None
