"""Commands in any order against a small model: what is allowed, what each leads to, and that nothing is lost."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.driving import Tasks, ticks
from tests.machines import loop_beside, run_machine

STEPS = 3
EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "8"))


class Commands(RuleBasedStateMachine):
    """The model: the stage that a task rests in, how many plan versions there are, how many comments are open.

    Tasks pause by themselves only in INIT, WAIT_RFC, STOPPED and DONE: the model is compared there.
    """

    url: str
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.tasks = Tasks(
            httpx2.AsyncClient(base_url=self.url, headers={"X-User-Email": "model@example.com"}, timeout=30)
        )
        self.stage, self.versions, self.open = "INIT", 0, 0
        self.gone = False

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    async def command(self, path: str, **body: Any) -> int:
        return (await self.tasks.client.post(f"/api/tasks/{self.id}{path}", json=body or None)).status_code

    def rest(self, stage: str) -> None:
        self.do(self.tasks.wait(self.id, stage))
        self.stage = stage

    @initialize()
    def create(self) -> None:
        self.id = self.do(self.tasks.create({"steps": STEPS, "step_seconds": 0}))

    @rule()
    def start(self) -> None:
        expected = 404 if self.gone else 200 if self.stage in ("INIT", "WAIT_RFC") else 409
        assert self.do(self.command("/start")) == expected
        if self.stage == "INIT":
            self.rest("WAIT_RFC")
            self.versions = 1

    @precondition(lambda self: not self.gone)
    @rule()
    def stop(self) -> None:
        assert self.do(self.command("/stop")) == 200
        if self.stage == "WAIT_RFC":
            self.rest("STOPPED")

    @precondition(lambda self: not self.gone)
    @rule()
    def resume(self) -> None:
        assert self.do(self.command("/resume")) == (409 if self.stage in ("INIT", "DONE") else 200)
        if self.stage == "STOPPED":
            self.rest("WAIT_RFC")

    @precondition(lambda self: self.versions and not self.gone)
    @rule(step=st.none() | st.integers(1, 6))
    def comment(self, step: int | None) -> None:
        plan = self.do(self.tasks.get(self.id))["plan"]["document_id"]
        status = self.do(self.command(f"/documents/{plan}/feedback", body="Consider this.", step=step))
        if self.stage == "WAIT_RFC":
            assert status == (422 if step == 6 else 201)
            self.open += status == 201
        else:
            assert status == 409

    @precondition(lambda self: not self.gone)
    @rule()
    def done_reviewing(self) -> None:
        status = self.do(self.command("/plan/done-reviewing"))
        if self.stage != "WAIT_RFC":
            assert status == (200 if self.stage == "DONE" else 409)
            return
        assert status == 200
        if self.open:
            self.versions, self.open = self.versions + 1, 0
            self.rest("WAIT_RFC")
        else:
            self.rest("DONE")

    @precondition(lambda self: not self.gone)
    @rule(current=st.booleans())
    def accept(self, current: bool) -> None:
        plan = self.do(self.tasks.get(self.id))["plan"]
        right = current and plan is not None
        status = self.do(self.command("/plan/accept", hash=plan["hash"] if right else "f" * 64))
        if right and self.stage == "DONE":
            assert status == 200
        elif right and self.stage == "WAIT_RFC" and not self.open:
            assert status == 200
            self.rest("DONE")
        else:
            assert status == 409

    @precondition(lambda self: not self.gone and self.stage in ("STOPPED", "DONE"))
    @rule()
    def delete(self) -> None:
        assert self.do(self.tasks.client.delete(f"/api/tasks/{self.id}")).status_code == 204
        self.gone = True

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "id"):
            return
        if self.gone:
            assert self.do(self.tasks.client.get(f"/api/tasks/{self.id}")).status_code == 404
            return
        task = self.do(self.tasks.get(self.id))
        assert task["stage"] == self.stage
        assert (task["plan"]["version"] if task["plan"] else 0) == self.versions
        assert task["steps"] == (STEPS if self.stage == "DONE" else 0)

    def teardown(self) -> None:
        if hasattr(self, "id") and not self.gone:
            events = self.do(self.tasks.events(self.id))
            assert ticks(events) == (list(range(1, STEPS + 1)) if self.stage == "DONE" else [])
            assert [event["version"] for event in events if event["type"] == "plan"] == list(
                range(1, self.versions + 1)
            )
        self.do(self.tasks.client.aclose())


def test_commands_in_any_order(stack: str) -> None:
    with loop_beside() as loop:
        run_machine(Commands, {"url": stack, "loop": loop}, examples=EXAMPLES, steps=10)
