"""The agent `llm` through the API: planned, reviewed, carried out, and killed in mid-conversation again and again."""

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import Tasks
from tests.llm.scripted import ModelServer, model_server
from tests.llm_agent.tools_of_kills import install
from tests.parts import Part, Parts, free_port

__all__ = ["model_server"]
ADA = "ada.llm@example.com"
ROUNDS = 12
KILLS = 15
PLAN = {
    "goal": "Look, put and pay, again and again.",
    "steps": [{"title": "The first half"}, {"title": "The second half"}],
    "risks": ["Paying twice."],
    "tools": ["look", "put", "pay"],
}


def answers(rounds: int) -> list[dict[str, Any]]:
    """A round of three parallel calls each, with a word about the plan's step, and a result."""
    found: list[dict[str, Any]] = []
    for n in range(rounds):
        wanted = [{"name": name, "arguments": {"n": n}} for name in ("look", "put", "pay")]
        at = {"name": "plan_step", "arguments": {"number": 1 if n < rounds // 2 else 2, "state": "begun"}}
        found.append({"text": f"Round {n}.", "tools": [at, *wanted], "pause": 0.1})
    return [*found, {"text": "All was paid."}]


@dataclass
class Own:
    """A stack whose workers have the tools and the model."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    model: ModelServer
    folder: Path

    async def kill(self) -> None:
        self.worker.kill()
        self.worker = await self.parts.start("worker", **self.environment)

    def told(self) -> list[tuple[str, str]]:
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[0], line.split()[1]) for line in lines]

    def script(self, rounds: int, *more: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.model.port}/scripts/"
        body = {"answers": [*answers(rounds), *more], "formed": [{"text": json.dumps(PLAN)}]}
        assert httpx2.put(url, content=json.dumps(body)).status_code == 200

    def asked(self) -> dict[str, Any]:
        return httpx2.get(f"http://127.0.0.1:{self.model.port}/scripts/").json()

    async def answer_effects(self, task_id: str) -> int:
        """As somebody who looks: what was told has happened."""
        found = await self.tasks.client.get("/api/gates", params={"task_id": task_id, "state": "open"})
        for gate in found.json()["items"]:
            assert gate["kind"] == "effect", gate
            call = gate["text"].rsplit("Call ", 1)[1].rstrip(".")
            happened = ("pay", call) in self.told()
            body = {"hash": gate["hash"], "answer": {"yes": "paid, as somebody saw"} if happened else "no"}
            sent = await self.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)
            assert sent.status_code in (200, 202, 409), sent.text
        return len(found.json()["items"])


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    plugins, folder = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("told")
    install(plugins)
    queue, port = f"llm-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "LLM_KILLS_FOLDER": str(folder)}
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    environment["PYTHONPATH"] = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker, model_server, folder)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.mark.fault
@pytest.mark.timeout(300)
async def test_killed_in_mid_conversation_it_asks_and_does_nothing_twice(own: Own, database: Database) -> None:
    own.script(ROUNDS)
    task = await own.tasks.reviewable({}, agent_type="llm", prompt="Pay.")
    await own.tasks.accept(task)
    chance, kills = random.Random(7), 0
    while (await own.tasks.get(task["id"]))["stage"] != "DONE":
        await own.answer_effects(task["id"])
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        if kills < KILLS:
            await own.kill()
            kills += 1
    assert kills == KILLS, "it was done before it had been killed often enough"
    report = next(each for each in await own.tasks.documents(task["id"]) if each["kind"] == "REPORT")["body"]
    assert "All was paid." in report and f"{ROUNDS * 3} calls of tools" in report

    asked = own.asked()
    calls = Counter(asked["calls"])
    assert max(calls.values()) <= 2 and sum(count - 1 for count in calls.values()) <= KILLS, "only what was in flight"
    made = Counter(own.told())
    assert all(count == 1 for (name, _), count in made.items() if name == "pay"), "an unsafe one was done twice"
    assert sum(count - 1 for count in made.values()) <= 2 * KILLS, "only what was in flight"
    assert len({key for name, key in made if name == "pay"}) == ROUNDS, "none was lost"
    async with database.reading() as session:
        query = text("SELECT tool, state, count(*) FROM tool_calls WHERE subject_id = :task GROUP BY tool, state")
        rows = (await session.execute(query, {"task": task["id"]})).all()
    assert sorted(tuple(row) for row in rows) == [(name, "done", ROUNDS) for name in ("look", "pay", "put")]
    events = await own.tasks.events(task["id"])
    turns = [event["turn"] for event in events if event["type"] == "model_answered"]
    assert turns == list(range(1, ROUNDS + 2)), "each answer is shown once"


async def test_its_whole_life_undisturbed(own: Own) -> None:
    (own.folder / "told").write_text("")
    own.script(3)
    task = await own.tasks.reviewable({}, agent_type="llm", prompt="Pay thrice.")
    await own.tasks.accept(task)
    done = await own.tasks.wait(task["id"], "DONE", seconds=60)
    report = next(each for each in await own.tasks.documents(task["id"]) if each["kind"] == "REPORT")["body"]
    assert "9 calls of tools" in report and done["stage"] == "DONE"
    assert Counter(name for name, _ in own.told()) == {"look": 3, "put": 3, "pay": 3}


@pytest.mark.fault
async def test_followed_up_and_killed_it_goes_on_with_what_was_said(own: Own, database: Database) -> None:
    """The second work of a task: the model is shown the first, and asked, told, counted and listed as in any."""
    (own.folder / "told").write_text("")
    once_more = {"name": "pay", "arguments": {"n": 77}}
    own.script(2, {"text": "Once more.", "tools": [once_more], "pause": 0.5}, {"text": "Paid once more."})
    task = await own.tasks.reviewable({}, agent_type="llm", prompt="Pay twice.")
    task_id = task["id"]
    limit = {"period": "life", "tokens": 1_000_000}
    assert (await own.tasks.client.put("/api/budgets", json={**limit, "task_id": task_id})).is_success
    await own.tasks.accept(task)
    await own.tasks.wait(task_id, "DONE", seconds=60)

    sent = await own.tasks.client.post(f"/api/tasks/{task_id}/messages", json={"body": "And once more, please."})
    assert sent.status_code == 201 and sent.json()["placed"] == "follow_up"
    task = await own.tasks.wait(task_id, "WAIT_RFC")
    listed = (await own.tasks.client.get("/api/inbox")).json()["items"]
    assert [each["kind"] for each in listed if each["task_id"] == task_id] == ["review"]
    planned = json.dumps([each for each in own.asked()["requests"] if "response_format" in each][-1]["messages"])
    assert "And once more, please." in planned and "All was paid." in planned
    await own.tasks.accept(task)
    await own.tasks.wait(task_id, "EXECUTING", "DONE")
    await own.kill()
    while (await own.tasks.get(task_id))["stage"] != "DONE":
        await own.answer_effects(task_id)
        await asyncio.sleep(0.05)

    reports = [each["body"] for each in await own.tasks.documents(task_id) if each["kind"] == "REPORT"]
    assert ["All was paid." in body for body in reports] == [True, False] and "Paid once more." in reports[-1]
    made = Counter(own.told())
    assert all(count == 1 for (name, _), count in made.items() if name == "pay")
    assert len({key for name, key in made if name == "pay"}) == 3, "none was lost"
    last = own.asked()["requests"][-1]["messages"]
    assert [each["content"] for each in last if each["role"] == "assistant"][:3] == [
        "Round 0.",
        "Round 1.",
        "All was paid.",
    ]
    [budget] = (await own.tasks.client.get("/api/budgets", params={"task_id": task_id})).json()["items"]
    total = (await own.tasks.client.get("/api/usage", params={"task_id": task_id})).json()["total"]
    assert budget["used_tokens"] == total["tokens_in"] + total["tokens_out"] > 0
    async with database.reading() as session:
        query = text("SELECT count(*) FROM usage_calls WHERE task_id = :task")
        assert (await session.scalars(query, {"task": task_id})).one() == total["calls"] >= 2 + 3 + 2
