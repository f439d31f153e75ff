"""What ends a gate beside its answer, and what must not lose one."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.runs.reconcile import Reconciler
from pavo.runs.story import SIGNAL_MOVE_ON
from pavo.tasks import contracts as c
from pavo.tasks.reconcile import TaskRows
from pavo.tasks.wiring import KIND
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.timeline.publish import Publisher
from tests.driving import until
from tests.gates.asking import Asked, question


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    """Publishes nothing before it is started."""
    return Publisher(build_redis(settings))


async def test_what_is_not_asked_any_more_takes_no_answer(asked: Asked) -> None:
    await asked.start("asking", question("a", "A?"), question("b", "B?"), race=True, then=question("c", "C?"))
    a, b = await asked.gates(count=2)
    await asked.answer(a, "for a")
    await asked.rests("WAITING:c")
    [c_] = await asked.gates()
    [left] = await asked.gates("paused")
    assert (c_["key"], left["id"]) == ("c", b["id"])
    refused = await asked.answer(b, "too late", 409)
    assert refused["code"] == "WrongStage" and refused["remedy"]
    await asked.answer(c_, "for c")
    assert await asked.done() == "{'a': 'for a', 'c': 'for c'}"


async def test_a_task_that_is_done_asks_nobody(asked: Asked) -> None:
    await asked.start("asking", question("a", "A?"), question("b", "B?"), race=True)
    _, b = await asked.gates(count=2)
    await asked.answer(b, "for b")
    assert await asked.done() == "{'b': 'for b'}"
    await asked.gates(count=0)
    await asked.gates("paused")


async def run_id(temporal: Client, workflow_id: str) -> str:
    found = (await temporal.get_workflow_handle(workflow_id).describe()).run_id
    assert found
    return found


async def test_a_run_that_continues_as_new_waits_on(asked: Asked, temporal: Client) -> None:
    await asked.start("asking", question(expires=3600.0))
    [gate] = await asked.gates()
    workflow = (await asked.rests("WAITING:deploy"))["workflow_id"]
    before = await run_id(temporal, workflow)
    await temporal.get_workflow_handle(workflow).signal(SIGNAL_MOVE_ON)

    async def moved() -> bool:
        return await run_id(temporal, workflow) != before

    await until(moved, what="another run")
    assert (await asked.tasks.get(asked.id))["stage_status"] == "WAITING:deploy"
    await asked.answer(gate, "now")
    assert await asked.done() == "{'deploy': 'now'}"
    assert asked.told().count("begin None") == 1


async def test_an_answer_that_is_recorded_while_the_run_continues_as_new_counts(
    asked: Asked, temporal: Client, database: Database
) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    workflow = (await asked.rests("WAITING:deploy"))["workflow_id"]
    before = await run_id(temporal, workflow)
    handle = temporal.get_workflow_handle(workflow, run_id=before)
    locked = text("SELECT 1 FROM tasks WHERE id = :id FOR UPDATE")
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with database.transaction() as session:
        await session.execute(locked, {"id": uuid.UUID(asked.id)})
        answering = asyncio.create_task(asked.answer(gate, "now"))

        async def being_recorded() -> bool:
            async with database.reading() as other:
                return bool(await other.scalar(blocked))

        await until(being_recorded, what="the answer at the locked row")
        await handle.signal(SIGNAL_MOVE_ON)

        async def heard() -> bool:
            events = [event async for event in handle.fetch_history_events()]
            kinds = [event.WhichOneof("attributes") for event in events]
            signalled = "workflow_execution_signaled_event_attributes"
            return signalled in kinds and any(
                "task_started" in (kind or "") for kind in kinds[kinds.index(signalled) :]
            )

        await until(heard, what="a run that is to continue as new")
    assert (await answering)["answer"] == "now"
    assert await asked.done() == "{'deploy': 'now'}"


async def test_an_expiry_that_died_after_its_commit_is_told_again(
    asked: Asked, database: Database, publisher: Publisher
) -> None:
    await asked.start("asking", question(expires=3600.0))
    [gate] = await asked.gates()
    over = text("UPDATE gates SET expires_at = pavo_now() WHERE id = :id")
    async with database.transaction() as session:
        await session.execute(over, {"id": uuid.UUID(gate["id"])})
    recorder = TransitionRecorder(database, publisher)
    request = c.ExpireGates(asked.id, [gate["id"]])
    assert [await recorder.expire_gates(request) for _ in range(2)] == [c.GatesExpired([gate["id"]])] * 2
    closed = [event for event in await asked.tasks.events(asked.id) if event["type"] == "gate_closed"]
    assert len(closed) == 1


async def test_the_gates_of_a_workflow_that_is_gone_rest(
    asked: Asked, temporal: Client, database: Database, publisher: Publisher
) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    task = await asked.rests("WAITING:deploy")
    await temporal.get_workflow_handle(task["workflow_id"]).terminate("by the test")
    reconciler = Reconciler([(KIND, TaskRows(database, publisher))], temporal)
    old = text("UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE id = :id")

    async def found() -> bool:
        async with database.transaction() as session:
            await session.execute(old, {"id": uuid.UUID(asked.id)})
        await reconciler.reconcile_runs()
        return (await asked.tasks.get(asked.id))["stage"] == "FAILED"

    await until(found, what="an explanation")
    assert (await asked.gates("paused"))[0]["id"] == gate["id"]
    assert (await asked.answer(gate, "now", 409))["code"] == "WrongStage"
    await asked.tasks.post(f"{asked.id}/resume")
    [again] = await asked.gates()
    assert again["id"] == gate["id"]
    await asked.answer(again, "now")
    assert await asked.done() == "{'deploy': 'now'}"


async def test_an_answer_to_one_question_does_not_hide_what_else_is_waited_for(
    asked: Asked, database: Database, publisher: Publisher
) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    await asked.rests("WAITING:deploy")
    noted = text("UPDATE executions SET waiting = 'a worker' WHERE task_id = :id")
    proposed = text(
        "INSERT INTO gate_answers (id, gate_id, answer, by_email) VALUES (:answer, :gate, '\"now\"', 'ada@example.com')"
    )
    ids: dict[str, Any] = {"answer": uuid.uuid4(), "gate": uuid.UUID(gate["id"])}
    async with database.transaction() as session:
        await session.execute(noted, {"id": uuid.UUID(asked.id)})
        await session.execute(proposed, ids)
    recorder = TransitionRecorder(database, publisher)
    assert await recorder.record_gate(c.RecordGate(asked.id, gate["id"], str(ids["answer"])))
    assert (await asked.tasks.get(asked.id))["stage_status"] == "WAITING:a worker"
