"""An agent asks people in the middle of a run: nothing runs while it waits, and each answer finds its question."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import Client

from pavo.kit.sql import Database
from tests.driving import types, until
from tests.gates.asking import ADA, BEN, Asked, Own, question

AGENTS = ["asking", "asking_apart"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_answer_is_returned_at_once_and_the_checkpoint_kept(
    own: Own, asked: Asked, temporal: Client, agent: str
) -> None:
    await asked.start(agent, question(choices=["yes", "no"]))
    [gate] = await asked.gates()
    assert (gate["text"], gate["choices"], gate["kind"]) == ("Shall I deploy?", ["yes", "no"], "question")
    task = await asked.rests("WAITING:deploy")
    assert task["stage"] == "EXECUTING"
    # Nothing runs: with its one slot the worker does another task meanwhile.
    other = await asked.tasks.started({"steps": 2, "step_seconds": 0}, auto_accept=True)
    await asked.tasks.wait(other, "DONE")
    closed = await asked.answer(gate, "yes", note="as agreed")
    assert (closed["state"], closed["answer"], closed["answered_by"], closed["note"]) == (
        *("answered", "yes", ADA),
        "as agreed",
    )
    assert await asked.done() == "{'deploy': 'yes'}"
    told = asked.told()
    assert told[0] == "begin None" and told[-2:] == ["begin {'answers': None}", "answered {'deploy': 'yes'}"]
    events = await asked.tasks.events(asked.id)
    opened, ended = [event for event in events if event["type"] in ("gate_opened", "gate_closed")]
    assert opened["gate_id"] == ended["gate_id"] == gate["id"]
    assert ended["by"] == ADA and ended["answer"] == "yes" and "retry" not in types(events)
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    assert "as agreed" not in history.to_json() and "Shall I" not in history.to_json()
    assert await asked.answer(gate, "yes") == await asked.answer(gate, "yes", note="as agreed") == closed, "once more"
    late = await asked.answer(gate, "yes", 409, note="but carefully")
    assert (late["field"], late["answered_by"]) == ("note", ADA), "a note is dropped without a word"


@pytest.mark.parametrize("agent", AGENTS)
async def test_several_at_once_each_find_their_own_answer_and_work_beside_is_not_cut(asked: Asked, agent: str) -> None:
    await asked.start(agent, question("a", "A?"), question("b", "B?"), beside=1.0)
    a, b = await asked.gates(count=2)
    assert "worked" in asked.told(), "the attempt ended when nothing else was running"
    await asked.answer(b, "for b")
    await asked.gates("answered")
    # One answer is enough to go on; what is open is asked again, as the same gate.
    await until(lambda: asyncio.sleep(0, asked.told().count("begin {'answers': None}")), what="the next attempt")
    assert (await asked.gates())[0]["id"] == a["id"]
    await asked.answer(a, "for a")
    assert await asked.done() == "{'a': 'for a', 'b': 'for b'}"
    opened = [each for each in await asked.tasks.events(asked.id) if each["type"] == "gate_opened"]
    assert [event["key"] for event in opened] == ["a", "b"], "each is told once"


@pytest.mark.parametrize("agent", AGENTS)
async def test_at_a_semaphore_and_a_queue_one_is_asked_after_the_other(asked: Asked, agent: str) -> None:
    await asked.start(agent, question("a", "A?"), question("b", "B?"), one_by_one=True)
    [first] = await asked.gates()
    await asked.answer(first, "for a")
    [gate] = await asked.gates()
    assert (first["key"], gate["key"]) == ("a", "b")
    await asked.answer(gate, "for b")
    assert await asked.done() == "{'a': 'for a', 'b': 'for b'}"


async def test_stopped_it_asks_again_when_it_is_resumed(asked: Asked) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    await asked.tasks.post(f"{asked.id}/stop")
    refused = await asked.answer(gate, "now", 409)
    assert (refused["code"], refused["field"]) == ("WrongStage", "state") and "Resume" in refused["remedy"]
    await asked.tasks.post(f"{asked.id}/resume")
    [again] = await asked.gates()
    assert again["id"] == gate["id"] and again["hash"] == gate["hash"]
    await asked.answer(again, "now")
    assert await asked.done() == "{'deploy': 'now'}"


async def test_what_is_no_answer_changes_nothing(asked: Asked) -> None:
    await asked.start("asking", question(schema={"type": "object", "required": ["days"]}))
    [gate] = await asked.gates()
    assert (await asked.answer({**gate, "hash": "0" * 64}, {"days": 1}, 409))["code"] == "WrongGateHash"
    wrong = await asked.answer(gate, "soon", 422)
    assert wrong["field"] == "answer" and wrong["remedy"]
    assert (await asked.answer(gate, {"days": "\0"}, 422))["field"] == "answer"
    assert (await asked.answer(gate, {"days": "x" * 20_000}, 413))["field"] == "answer"
    assert (await asked.answer(gate, {"days": 1}, 404, who=BEN))["code"] == "NotFound", "a stranger"
    assert (await asked.gates())[0]["state"] == "open"
    await asked.answer(gate, {"days": 1})
    assert await asked.done() == "{'deploy': {'days': 1}}"


async def test_of_two_people_at_once_one_wins_and_the_other_is_told_by_whom(asked: Asked) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    sent = [
        asked.client.post(f"/api/gates/{gate['id']}/answer", json={"hash": gate["hash"], "answer": f"answer {number}"})
        for number in range(5)
    ]
    answers = await asyncio.gather(*sent)
    [won] = [each.json() for each in answers if each.status_code == 200]
    lost = [each.json() for each in answers if each.status_code != 200]
    assert {each["code"] for each in lost} == {"GateClosed"} and all(each["answered_by"] == ADA for each in lost)
    assert await asked.done() == f"{{'deploy': '{won['answer']}'}}"


@pytest.mark.parametrize("agent", AGENTS)
async def test_nobody_in_time(asked: Asked, agent: str) -> None:
    waits = question("default", expires=1.0, default=["d"], schema={}), question("none", expires=1.0)
    await asked.start(agent, *waits)
    assert await asked.done() == "{'default': ['d'], 'none': 'nobody'}"
    [gate] = await asked.gates("answered")
    assert (gate["answer"], gate["answered_by"]) == (["d"], "policy:default")
    [gate] = await asked.gates("expired")
    assert (await asked.answer(gate, "late", 409))["code"] == "GateClosed"


async def test_workers_die_while_it_waits(own: Own, asked: Asked, database: Database) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    own.worker.kill()
    for _ in range(2):
        refused = await asked.answer(gate, "anyway", 503)
        assert refused["code"] == "OutcomeUnknown"
    async with database.reading() as session:
        kept = text("SELECT count(*) FROM gate_answers WHERE gate_id = :id")
        assert await session.scalar(kept, {"id": uuid.UUID(gate["id"])}) == 1, "said again it is the same answer"
    own.worker = await own.parts.start("worker", **own.environment)
    assert await asked.done() == "{'deploy': 'anyway'}", "the answer took effect, once"
    assert (await asked.answer(gate, "anyway"))["state"] == "answered"


async def test_deleted_with_its_task(asked: Asked) -> None:
    await asked.start("asking", question())
    [gate] = await asked.gates()
    assert (await asked.client.delete(f"/api/tasks/{asked.id}")).status_code == 204
    await asked.gates(count=0)
    assert (await asked.client.get(f"/api/gates/{gate['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"key": "no key"}, "key"),
        ({"question": "  "}, "question"),
        ({"choices": ["a", "a"]}, "choices"),
        ({"expires": -1}, "expires"),
        ({"default": "x"}, "default"),
        ({"expires": 60, "default": 7}, "default"),
        ({"expires": 60, "default": "x", "schema": {"type": "integer"}}, "default"),
        ({"schema": {"type": 7}}, "schema"),
        ({"question": "x" * 20_000}, "question"),
    ],
)
async def test_what_cannot_be_asked_fails_the_task_with_a_remedy(
    asked: Asked, wrong: dict[str, Any], field: str
) -> None:
    await asked.start("asking", {**question(), **wrong})
    task = await asked.tasks.wait(asked.id, "FAILED")
    assert f"ask(): {field}" in task["error"]["cause"] and task["error"]["remedy"]
    await asked.gates(count=0)
