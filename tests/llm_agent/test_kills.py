"""The agent `llm` through the API: planned, reviewed, carried out, and killed in mid-conversation again and again."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks
from tests.faults.stack import Stack, running_stack, until
from tests.llm.scripted import ModelServer, model_server
from tests.llm.test_shown_answers import Viewer
from tests.llm_agent.tools_of_kills import EFFECTS, configured

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
__all__ = ["model_server"]
LONG = 200
"""Rounds of a conversation that ends sooner: once there were enough kills."""
VICTIMS = ("worker-1", "tools", "postgres") * 3 + ("worker-1", "tools") * 3
PLAN = {
    "goal": "Look, put and pay, again and again.",
    "steps": [{"title": "The first half"}, {"title": "The second half"}],
    "risks": ["Paying twice."],
    "tools": [f"kills__{name}" for name in EFFECTS],
}


def answers(rounds: int) -> list[dict[str, Any]]:
    """A round of three parallel calls each, with a word about the plan's step, and a result."""
    found: list[dict[str, Any]] = []
    for n in range(rounds):
        wanted = [{"name": f"kills__{name}", "arguments": {"n": n}} for name in EFFECTS]
        at = {"name": "plan_step", "arguments": {"number": 1 if n < 8 else 2, "state": "begun"}}
        found.append({"text": f"Round {n}.", "tools": [at, *wanted], "pause": 0.25})
    return [*found, {"text": "All was paid."}]


@dataclass(frozen=True)
class Made:
    """A call that a tool began."""

    tool: str
    key: str
    n: int
    at: float


class SteadyViewer(Viewer):
    """Comes again when its stream is cut, and is sent from the beginning what is said then."""

    async def _run(self, tasks: Tasks, task_id: str) -> None:
        while True:
            with suppress(httpx2.HTTPError, KeyError):
                await super()._run(tasks, task_id)
                if (await tasks.get(task_id))["stage"] == "DONE":
                    return
            self.shown = {}
            await asyncio.sleep(0.1)


@dataclass
class Own:
    """A stack whose worker has the tools' server and the model."""

    stack: Stack
    tasks: Tasks
    model: ModelServer
    folder: Path

    def lines(self) -> list[list[str]]:
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split() for line in lines]

    def made(self) -> list[Made]:
        calls = [each for each in self.lines() if each[0] in EFFECTS and len(each) == 4]
        return [Made(tool, key, int(n), float(at)) for tool, key, n, at in calls]

    async def goes_on(self, before: int) -> None:
        """Until a tool has begun a call that had not been begun."""

        async def more() -> bool:
            return len(self.made()) > before

        await until(more, 60, "the conversation to go on")

    async def kill(self, victim: str) -> None:
        if victim != "tools":
            await self.stack.kill(victim)
            return
        last = [int(each[1]) for each in self.lines() if each[0] == "pid"][-1]
        with suppress(ProcessLookupError):
            os.kill(last, signal.SIGKILL)

    def script(self, rounds: int) -> None:
        body = {"answers": answers(rounds), "formed": [{"text": json.dumps(PLAN)}], "again": "error: "}
        assert httpx2.put(f"http://127.0.0.1:{self.model.port}/scripts/", content=json.dumps(body)).status_code == 200

    def asked(self) -> dict[str, Any]:
        return httpx2.get(f"http://127.0.0.1:{self.model.port}/scripts/").json()

    async def is_done(self, task_id: str) -> bool:
        """Whether it is; until then as somebody who looks: what was told has happened."""
        found = await self.tasks.client.get("/api/gates", params={"task_id": task_id, "state": "open"})
        for gate in found.json()["items"]:
            assert gate["kind"] == "effect", gate
            call = gate["text"].rsplit("Call ", 1)[1].rstrip(".")
            happened = any(each.key == call for each in self.made())
            body = {"hash": gate["hash"], "answer": {"yes": "paid, as somebody saw"} if happened else "no"}
            sent = await self.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)
            assert sent.status_code in (200, 202, 409, 503), sent.text
        return (await self.tasks.get(task_id))["stage"] == "DONE"


@pytest_asyncio.fixture
async def own(model_server: ModelServer, tmp_path: Path) -> AsyncIterator[Own]:
    env = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    env["PAVO_MCP_CONFIG"] = str(configured(tmp_path))
    async with running_stack(env=env) as stack:
        headers = {"X-User-Email": "ada.llm@example.com"}
        async with httpx2.AsyncClient(base_url=stack.api, headers=headers, timeout=30) as client:
            yield Own(stack, Tasks(client), model_server, tmp_path)


async def test_killed_in_mid_conversation_it_asks_and_does_nothing_twice(own: Own) -> None:
    own.script(LONG)
    task = await own.tasks.reviewable({}, agent_type="llm", prompt="Pay.")
    viewer = SteadyViewer(own.tasks, task["id"])
    await own.tasks.accept(task)
    looking = asyncio.create_task(until(lambda: own.is_done(task["id"]), 200, "its end"))
    chance = random.Random(7)
    for victim in VICTIMS:
        await own.goes_on(len(own.made()))
        await asyncio.sleep(chance.uniform(0, 0.4))
        await own.kill(victim)
        if victim != "tools":
            await own.stack.ready()
    rounds = max(each.n for each in own.made()) + 4
    own.script(rounds)
    await looking
    await viewer.end()
    assert viewer.all, "nothing was shown"
    report = next(each for each in await own.tasks.documents(task["id"]) if each["kind"] == "REPORT")["body"]
    assert "All was paid." in report

    calls = Counter(own.asked()["calls"])
    assert max(calls.values()) <= 2 and sum(count - 1 for count in calls.values()) <= len(VICTIMS), "only in flight"
    await nothing_twice_and_nothing_lost(own, task["id"], rounds)
    events = await own.tasks.events(task["id"])
    turns = [event["turn"] for event in events if event["type"] == "model_answered"]
    assert turns == list(range(1, len(turns) + 1)) and len(turns) > rounds, "each answer is shown once"
    print(f"{sum(calls.values()) - len(calls)} calls of models were in flight at {len(VICTIMS)} kills")


async def nothing_twice_and_nothing_lost(own: Own, task_id: str, rounds: int) -> None:
    made = own.made()
    paid = Counter(each.n for each in made if each.tool == "pay")
    assert paid == dict.fromkeys(range(rounds), 1), "an unsafe effect was doubled, or lost"
    query = "SELECT tool, state, id::text, extract(epoch FROM settled_at) FROM tool_calls WHERE subject_id = %s"
    rows = await own.stack.sql(query, task_id)
    done = Counter(tool for tool, state, _, _ in rows if state == "done")
    assert done == {f"kills__{name}": rounds for name in EFFECTS}, "a call was lost"
    settled = {key.replace("-", ""): float(at) for _, state, key, at in rows if state == "done"}
    late = [each for each in made if each.at > settled.get(each.key.replace("-", ""), float("inf"))]
    assert not late, "what was recorded was done again"


async def test_its_whole_life_undisturbed(own: Own) -> None:
    own.script(3)
    task = await own.tasks.reviewable({}, agent_type="llm", prompt="Pay thrice.")
    await own.tasks.accept(task)
    done = await own.tasks.wait(task["id"], "DONE", seconds=60)
    report = next(each for each in await own.tasks.documents(task["id"]) if each["kind"] == "REPORT")["body"]
    assert "9 calls of tools" in report and done["stage"] == "DONE"
    assert Counter(each.tool for each in own.made()) == dict.fromkeys(EFFECTS, 3)
