"""Policies and approvals over HTTP: what is asked about runs once people allow just that, and never otherwise."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.agents.asking.question import Question
from pavo.config import WebhookSettings
from pavo.kit.sql import Database
from pavo.tasks.work.context.asked_people import new_gate
from pavo.tools.approvals import ANSWERS
from pavo.webhooks.service import WebhookService
from tests.driving import Tasks, types, until
from tests.tools.calling import ADA, AGENTS, Called, Own


@pytest_asyncio.fixture
async def mine(own: Own, tmp_path: Path) -> AsyncIterator[Called]:
    """Tasks of an organisation of the test's own."""
    base, who = own.tasks.client.base_url, f"{uuid.uuid4().hex}@example.com"
    async with httpx2.AsyncClient(base_url=base, headers={"X-User-Email": who}, timeout=30) as client:
        found = Called(own, tmp_path)
        found.tasks = Tasks(client)
        yield found


async def policy(mine: Called, decision: str, tool: str = "pay", **more: Any) -> dict[str, Any]:
    body = {"decision": decision, "tool": tool, **more}
    answer = await mine.tasks.client.post("/api/policies", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("agent", AGENTS)
async def test_each_call_that_is_asked_about_waits_for_its_own_answer(mine: Called, agent: str) -> None:
    await policy(mine, "ask", note="money")
    await mine.start(agent, mine.one("pay", amount=5), mine.one("pay", amount=7), mine.one("put", name="x"))
    five, seven = sorted(await mine.gates(2), key=lambda gate: '"amount": 7' in gate["text"])
    assert {five["kind"], seven["kind"]} == {"approval"} and five["id"] != seven["id"] and five["key"] != seven["key"]
    assert five["choices"] == list(ANSWERS) and '"amount": 5' in five["text"] and "unsafe" in five["text"]
    assert "a policy of the organisation asks about pay (money)" in five["text"]
    assert (await mine.tasks.get(mine.id))["stage_status"].startswith("WAITING:approval/pay/")
    assert mine.told("pay") == [], "what is asked about ran before"

    inbox = (await mine.tasks.client.get("/api/inbox", params={"kind": "approval"})).json()
    assert {each["id"] for each in inbox["items"]} == {five["id"], seven["id"]} and inbox["total"] == 2
    await mine.answer(seven, "deny", note="too much")
    [left] = await mine.gates(1)
    assert left["id"] == five["id"] and mine.told("pay") == []
    await mine.answer(five, "allow")
    report = await mine.done()
    assert "{'paid': 5}" in report and "denied: " in report and "denied this call of pay: too much" in report
    assert len(mine.told("pay")) == 1 and len(mine.told("put")) == 1
    events = await mine.tasks.events(mine.id)
    done = sorted(event["state"] for event in events if event["type"] == "tool_done")
    assert done == ["denied", "done", "done"] and types(events).count("tool_called") == 2


async def test_strangers_late_second_and_wrong_answers(mine: Called) -> None:
    await policy(mine, "ask")
    await mine.start("calling", mine.one("pay", amount=5))
    gate = await mine.gate()
    await mine.answer(gate, "allow", 404, who=ADA)
    await mine.answer({**gate, "hash": "0" * 64}, "allow", 409)
    for wrong in ("yes", True, {"allow": True}, None, 1):
        refused = await mine.answer(gate, wrong, 422)
        assert "allow for this task" in refused["remedy"]
    assert mine.told("pay") == []
    await mine.answer(gate, "allow")
    await mine.answer(gate, "allow")
    late = await mine.answer(gate, "deny", 409)
    assert "@example.com" in late["answered_by"]
    assert await mine.done() == "[{'paid': 5}]"


async def test_an_approved_call_is_not_asked_again_after_a_crash(own: Own, mine: Called) -> None:
    await policy(mine, "ask", "p*")
    (mine.folder / "hold").touch()
    await mine.start("calling", mine.one("put", name="x"))
    await mine.answer(await mine.gate(), "allow")

    async def called() -> bool:
        return bool(mine.told("put"))

    await until(called, what="the call")
    own.worker.kill()
    (mine.folder / "hold").unlink()
    own.worker = await own.parts.start("worker", **own.environment)
    assert await mine.done() == "['x']"
    assert len(mine.told("put")) == 2 and len(set(mine.told("put"))) == 1
    events = await mine.tasks.events(mine.id)
    assert types(events).count("gate_opened") == 1, "an approved call was asked about again"


async def test_allowed_for_the_task_answers_the_others_too(mine: Called) -> None:
    asks = await policy(mine, "ask", effect="unsafe", tool="*")
    await mine.start("calling", *(mine.one("pay", amount=amount) for amount in (1, 2, 3)))
    gates = await mine.gates(3)
    await mine.answer(gates[1], "allow for this task")
    assert await mine.done() == "[{'paid': 1}, {'paid': 2}, {'paid': 3}]"
    assert len(await mine.gates(2, "paused")) == 2
    answer = await mine.tasks.client.patch(f"/api/policies/{asks['id']}", json={"decision": "deny"})
    assert answer.status_code == 200 and answer.json()["effect"] == "unsafe"
    await mine.start("calling", mine.one("pay", amount=1))
    assert "denied: This call of pay is denied: a policy of the organisation denies *" in await mine.done()
    assert len(mine.told("pay")) == 3


async def test_arguments_are_judged_as_the_tool_takes_them(mine: Called) -> None:
    await policy(mine, "ask", arguments={"properties": {"amount": {"minimum": 6}}, "required": ["amount"]})
    await mine.start("calling", mine.one("pay", amount=5), mine.one("pay", amount="7"))
    gate = await mine.gate()
    assert '"amount": "7"' in gate["text"], "what is a number for the tool passed as a text"
    assert len(mine.told("pay")) == 1
    await mine.answer(gate, "allow")
    assert await mine.done() == "[{'paid': 5}, {'paid': 7}]"


async def test_a_deny_that_comes_after_the_approval_holds(mine: Called) -> None:
    await policy(mine, "ask")
    await mine.start("calling", mine.one("pay", amount=1), mine.one("pay", amount=2))
    first, second = await mine.gates(2)
    await mine.tasks.post(f"{mine.id}/stop")
    await mine.answer(first, "allow", 409)
    await mine.tasks.post(f"{mine.id}/resume")
    await mine.gates(2)
    await policy(mine, "deny", note="closed")
    await mine.answer(first, "allow")
    report = await mine.done()
    assert report.count("closed") == 2 and mine.told("pay") == []
    assert second["id"] in {gate["id"] for gate in await mine.gates(1, "paused")}


async def test_what_a_task_allows_is_an_exception_to_its_own_words_alone(mine: Called) -> None:
    await policy(mine, "deny", "put")
    own = [
        {"decision": "deny", "note": "mine"},
        {"decision": "allow", "tool": "pay"},
        {"decision": "allow", "tool": "put"},
    ]
    calls = [mine.one("pay", amount=1), mine.one("put", name="x"), mine.one("lost")]
    await mine.start("calling", *calls, policies=own)
    report = await mine.done()
    assert "{'paid': 1}" in report and "a policy of the organisation denies put" in report
    assert "a policy of the task denies * (mine)" in report


async def test_a_task_brings_policies_that_are_stricter_alone(mine: Called) -> None:
    task = {"options": {"folder": str(mine.folder), "calls": [mine.one("pay", amount=1)]}, "agent_type": "calling"}
    for wrong, field in (({"decision": "maybe"}, "policies.0.decision"), ({"decision": "deny", "tool": "a b"}, "tool")):
        refused = await mine.tasks.post("", 422, title="x", agent_type="calling", policies=[wrong])
        assert field in refused["field"]
    await policy(mine, "deny", "put")
    own = [{"decision": "ask", "tool": "pay", "note": "mine"}, {"decision": "ask", "tool": "put"}]
    await mine.start("calling", mine.one("pay", amount=1), mine.one("put", name="x"), policies=own)
    gate = await mine.gate()
    assert "a policy of the task asks about pay (mine)" in gate["text"]
    listed = (await mine.tasks.client.get("/api/policies", params={"task_id": mine.id})).json()["items"]
    assert [each["tool"] for each in listed] == ["pay", "put"] and {each["task_id"] for each in listed} == {mine.id}
    foreign = await mine.tasks.client.get("/api/policies", params={"task_id": mine.id}, headers={"X-User-Email": ADA})
    assert foreign.json()["items"] == []
    await mine.answer(gate, "allow")
    report = await mine.done()
    assert "{'paid': 1}" in report and "a policy of the organisation denies put" in report, task


async def test_policies_are_kept_by_owners(mine: Called, database: Database) -> None:
    client = mine.tasks.client
    kept = await policy(mine, "ask", "pay", agent="calling", note="money")
    organisation = kept["organisation_id"]
    assert await policy(mine, "ask", "pay", agent="calling", note="money") == kept, "the same again is the same"
    assert [each["id"] for each in (await client.get("/api/policies")).json()["items"]] == [kept["id"]]
    member = f"{uuid.uuid4().hex}@example.com"
    headers = {"X-User-Email": member}
    path = f"/api/policies/{kept['id']}"
    for status in (404, 403):
        for sent in (
            client.get("/api/policies", params={"organisation_id": organisation}, headers=headers),
            client.post("/api/policies", json={"decision": "ask", "organisation_id": organisation}, headers=headers),
            client.patch(path, json={"note": "x"}, headers=headers),
            client.delete(path, headers=headers),
        ):
            answer = await sent
            assert answer.status_code == status, answer.text
        joining = text("""
            INSERT INTO memberships (organisation_id, user_id, role)
            SELECT :organisation, id, 'member' FROM users WHERE email = :email ON CONFLICT DO NOTHING
        """)
        async with database.transaction() as session:
            await session.execute(joining, {"organisation": uuid.UUID(organisation), "email": member})
    changed = await client.patch(path, json={"agent": None, "tool": "p?y", "arguments": {"required": ["amount"]}})
    assert changed.status_code == 200
    told = changed.json()
    assert (told["agent"], told["tool"], told["note"], told["decision"]) == (None, "p?y", "money", "ask")
    for wrong, field in (
        ({"decision": "perhaps"}, "decision"),
        ({"decision": "ask", "tool": "a b"}, "tool"),
        ({"decision": "ask", "tool": ""}, "tool"),
        ({"decision": "ask", "agent": "a b"}, "agent"),
        ({"decision": "ask", "effect": "odd"}, "effect"),
        ({"decision": "ask", "arguments": {"type": "odd"}}, "arguments"),
        ({"decision": "ask", "arguments": {"properties": {"x": {"pattern": "(?=x)"}}}}, "arguments"),
        ({"decision": "ask", "arguments": {"description": "x" * 9_000}}, "arguments"),
        ({"decision": "ask", "note": "a\nb"}, "note"),
        ({"decision": "ask", "odd": 1}, "odd"),
        ({"tool": "x"}, "decision"),
    ):
        answer = await client.post("/api/policies", json=wrong)
        assert answer.status_code == 422 and answer.json()["field"] == field and answer.json()["remedy"], answer.text
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert (await client.get("/api/policies")).json()["items"] == []


async def test_webhooks_are_told_that_an_approval_waits(mine: Called, database: Database) -> None:
    kept = await policy(mine, "ask")
    webhooks = WebhookService(database, WebhookSettings.model_validate({"networks": "127.0.0.0/8"}))
    url, organisation = "http://127.0.0.1:9/nobody", uuid.UUID(kept["organisation_id"])
    added = await webhooks.add(organisation, url, events=("task.waiting",), description="")
    await mine.start("calling", mine.one("pay", amount=5))
    gate = await mine.gate()
    told = text("SELECT data FROM webhook_deliveries WHERE webhook_id = :id")
    async with database.reading() as session:
        [data] = list(await session.scalars(told, {"id": added.webhook.id}))
    assert (data["reason"], data["gate_id"]) == ("approval", gate["id"]) and "amount" not in str(data)


def test_what_pavo_asks_about_a_call_answers_itself_never() -> None:
    """An agent's process hands the question back, and may have added what its hash does not tell."""
    asked = Question("approval/pay/1", "May pay be called?", ANSWERS, kind="approval")
    forged = Question(asked.key, asked.text, ANSWERS, None, 0.1, "allow", True, "approval")
    assert forged.hash == asked.hash
    gate = new_gate(forged)
    assert (gate.expires_seconds, gate.default, gate.has_default) == (None, None, False)
