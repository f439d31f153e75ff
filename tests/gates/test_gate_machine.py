"""Answers and commands in any order against a small model: each answer finds its own question, and none is lost."""

import asyncio
import json
import os
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.temporal.client import connect
from tests.clock import Clock
from tests.driving import Tasks, until
from tests.gates.asking import Own, question
from tests.machines import loop_beside, run_machine

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "6"))
MODEL, STRANGER = "gates.model@example.com", "gates.stranger@example.org"
ASKED = {
    "choice": question("choice", "Which?", choices=["left", "right"]),
    "number": question("number", "How many?", schema={"type": "integer"}),
    "text": question("text", "Why?", expires=3600.0, default="because"),
}
RIGHT: dict[str, tuple[Any, Any]] = {"choice": ("left", "right"), "number": (1, 2), "text": ("a", "b")}
WRONG: dict[str, Any] = {"choice": "up", "number": "1", "text": ["a"]}
KEYS = st.sampled_from(sorted(ASKED))


class Answers(RuleBasedStateMachine):
    """The model: where the task is (waits, stopped, done, gone), and what each question was answered."""

    url: str
    notes: str
    loop: asyncio.AbstractEventLoop
    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.client = httpx2.AsyncClient(base_url=self.url, headers={"X-User-Email": MODEL}, timeout=30)
        self.tasks = Tasks(self.client)
        self.stage = ""
        self.given: dict[str, Any] = {}
        self.by_policy = set[str]()

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(90)

    @initialize()
    def ask(self) -> None:
        # The clock of a new run is the machine's: what the example before has moved goes back.
        self.do(self.clock.back())
        self.clock.ahead = timedelta()
        options = {"notes": self.notes, "questions": list(ASKED.values())}
        self.id = self.do(self.tasks.started(options, agent_type="asking", auto_accept=True))
        self.gates = {gate["key"]: gate for gate in self.do(self.standing("open", len(ASKED)))}
        self.stage = "waits"

    async def standing(self, state: str, count: int) -> list[dict[str, Any]]:
        async def found() -> Any:
            items = (await self.client.get("/api/gates", params={"task_id": self.id, "state": state})).json()["items"]
            return (items,) if len(items) == count else ()

        (items,) = await until(found, what=f"{count} gates that are {state}")
        return items

    async def say(self, key: str, answer: Any, who: str = MODEL, content_hash: str | None = None) -> tuple[int, str]:
        gate = self.gates[key]
        body = {"hash": content_hash or gate["hash"], "answer": answer}
        headers = {"X-User-Email": who}
        sent = await self.client.post(f"/api/gates/{gate['id']}/answer", json=body, headers=headers)
        return sent.status_code, sent.json().get("code", "")

    def settle(self) -> None:
        if len(self.given) == len(ASKED):
            self.do(self.tasks.wait(self.id, "DONE"))
            self.stage = "done"

    @rule(key=KEYS, which=st.integers(0, 1))
    def answer(self, key: str, which: int) -> None:
        said = self.do(self.say(key, RIGHT[key][which]))
        if self.stage == "gone":
            assert said == (404, "NotFound")
        elif key in self.given:
            same = key not in self.by_policy and self.given[key] == RIGHT[key][which]
            assert said == ((200, "") if same else (409, "GateClosed"))
        elif self.stage == "waits":
            assert said == (200, "")
            self.given[key] = RIGHT[key][which]
            self.settle()
        else:
            assert said == (409, "WrongStage")

    @rule(key=KEYS)
    def answer_to_something_else(self, key: str) -> None:
        said = self.do(self.say(key, RIGHT[key][0], content_hash="f" * 64))
        assert said == ((404, "NotFound") if self.stage == "gone" else (409, "WrongGateHash"))

    @rule(key=KEYS)
    def answer_of_the_wrong_type(self, key: str) -> None:
        said = self.do(self.say(key, WRONG[key]))
        assert said == ((404, "NotFound") if self.stage == "gone" else (422, "InvalidInput"))

    @rule(key=KEYS)
    def answer_of_a_stranger(self, key: str) -> None:
        assert self.do(self.say(key, RIGHT[key][0], who=STRANGER)) == (404, "NotFound")

    @precondition(lambda self: self.stage != "gone")
    @rule()
    def stop(self) -> None:
        self.do(self.tasks.post(f"{self.id}/stop"))
        self.stage = "done" if self.stage == "done" else "stopped"

    @precondition(lambda self: self.stage == "stopped")
    @rule()
    def resume(self) -> None:
        self.do(self.tasks.post(f"{self.id}/resume"))
        self.do(self.standing("open", len(ASKED) - len(self.given)))
        self.stage = "waits"

    @precondition(lambda self: self.stage == "waits" and "text" not in self.given)
    @rule()
    def nobody_answers_in_time(self) -> None:
        workflow = self.do(self.tasks.get(self.id))["workflow_id"]
        self.do(self.clock.forward(timedelta(hours=2), workflow))
        self.given["text"] = "because"
        self.by_policy.add("text")
        self.settle()

    @precondition(lambda self: self.stage in ("waits", "stopped"))
    @rule(sure=st.integers(0, 3))
    def delete(self, sure: int) -> None:
        if sure == 3:
            assert self.do(self.client.delete(f"/api/tasks/{self.id}")).status_code == 204
            self.stage = "gone"

    @invariant()
    def agrees(self) -> None:
        if not self.stage:
            return
        if self.stage == "gone":
            self.do(self.standing("open", 0))
            return
        left = len(ASKED) - len(self.given)
        self.do(self.standing("answered", len(self.given)))
        self.do(self.standing("open", left if self.stage == "waits" else 0))
        self.do(self.standing("paused", left if self.stage == "stopped" else 0))

    def teardown(self) -> None:
        if self.stage == "stopped":
            self.resume()
        for key in sorted(ASKED.keys() - self.given.keys()) if self.stage == "waits" else ():
            self.answer(key, 0)
        if self.stage == "done":
            documents = self.do(self.tasks.documents(self.id))
            report = next(each["body"] for each in documents if each["kind"] == "REPORT")
            assert report == str({key: self.given[key] for key in ASKED}), "each answer found its own question"
            closed = [each for each in self.do(self.tasks.events(self.id)) if each["type"] == "gate_closed"]
            assert sorted(each["key"] for each in closed) == sorted(ASKED), json.dumps(closed)
        self.do(self.client.aclose())


def test_answers_in_any_order(own: Own, stack_settings: Settings, tmp_path: Path) -> None:
    async def open_clock() -> Clock:
        temporal = await connect(stack_settings.temporal)
        return Clock(Database(stack_settings.database.url, pool_size=2), temporal)

    with loop_beside() as loop:
        clock = asyncio.run_coroutine_threadsafe(open_clock(), loop).result(30)
        known = {"url": str(own.tasks.client.base_url), "notes": str(tmp_path / "notes"), "loop": loop, "clock": clock}
        try:
            run_machine(Answers, known, examples=EXAMPLES, steps=8)
        finally:
            for ending in (clock.back(), clock.database.close()):
                asyncio.run_coroutine_threadsafe(ending, loop).result(30)
