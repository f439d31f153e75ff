"""Viewers of a task see its models' answers while they are made, and nothing twice, whatever dies."""

import asyncio
import json
from typing import Any

import pytest

from tests.driving import Tasks, until
from tests.llm.scripted import model_server
from tests.llm.test_completions import AGENTS, Asking, Own, asking, own

__all__ = ["asking", "model_server", "own"]
ANSWER = "Wrens weigh seven grams, and sing louder than they weigh."


class Viewer:
    """Does with deltas what the guide says, and looks for what is shown twice."""

    def __init__(self, tasks: Tasks, task_id: str) -> None:
        self.shown: dict[str, str] = {}
        """By type, of one place."""
        self.place: tuple[int, int] = (0, -1)
        self.all: list[tuple[tuple[int, int], str]] = []
        """Every text of the first answer, whenever it changed, and where it stood."""
        self.taken_back: list[tuple[int, int]] = []
        self.task = asyncio.create_task(self._run(tasks, task_id))

    async def _run(self, tasks: Tasks, task_id: str) -> None:
        async with tasks.client.stream("GET", f"/api/tasks/{task_id}/stream?deltas=true", timeout=60) as answer:
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self._take(name, json.loads(line.removeprefix("data: ")))
                elif not line:
                    name = ""

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name == "delta":
            self._show((data["attempt"], data["step"]), data["deltas"])
        elif name == "superseded":
            self.taken_back.append((data["attempt"], data["step"]))
            self.shown = {}
        elif data["type"] in ("tick", "plan", "report"):
            self.shown = {}

    def _show(self, place: tuple[int, int], deltas: list[dict[str, Any]]) -> None:
        if place != self.place:
            assert not any(self.shown.values()) and place > self.place, "what was shown before was not taken back"
            self.place, self.shown = place, {}
        for delta in deltas:
            kind, offset, text = delta["type"], delta["offset"], delta["data"]["text"]
            before = self.shown.get(kind, "")
            assert offset in (0, len(before)), "there is a gap"
            self.shown[kind] = text if offset == 0 else before + text
            if kind == "model_text":
                self.all.append((place, self.shown[kind]))

    async def sees(self, text: str) -> None:
        async def seen() -> bool:
            return self.shown.get("model_text", "").startswith(text)

        await until(seen, what=f"{text!r} to be seen")

    async def end(self) -> None:
        await asyncio.wait_for(self.task, 20)
        assert not any(self.shown.values()), "what is recorded is shown as an event alone"


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_answer_is_seen_while_it_is_made_also_by_who_comes_in_the_middle(asking: Asking, agent: str) -> None:
    asking.script.tell({"text": ANSWER, "hold": "round 0"}, key="sk-canary-7d2e")
    await asking.start(agent)
    await asking.until_asked("round 0, 0")
    early = Viewer(asking.tasks, asking.id)
    await early.sees("Wrens weigh")
    late = Viewer(asking.tasks, asking.id)
    await late.sees("Wrens weigh")
    asking.script.release()
    await asking.done()
    for viewer in (early, late):
        await viewer.end()
        assert all(ANSWER.startswith(text) for _, text in viewer.all)


@pytest.mark.fault
@pytest.mark.parametrize("agent", AGENTS)
async def test_of_an_answer_whose_worker_dies_nothing_is_seen_twice(own: Own, asking: Asking, agent: str) -> None:
    asking.script.tell({"text": ANSWER, "hold": "round 1, 0"}, key="sk-canary-7d2e")
    await asking.start(agent, rounds=3)
    await asking.until_asked("round 1, 0")
    viewer = Viewer(asking.tasks, asking.id)
    await viewer.sees("Wrens weigh")
    attempt = viewer.place[0]
    own.worker.kill()
    await own.new_worker()

    async def said_anew() -> bool:
        return viewer.place[0] > attempt and bool(viewer.shown.get("model_text"))

    await until(said_anew, what="the next attempt's answer to be seen")
    assert attempt in [place[0] for place in viewer.taken_back], "what the dead one said is taken back before"
    asking.script.release()
    await asking.done()
    await viewer.end()
    assert all(ANSWER.startswith(text) for _, text in viewer.all), "never twice, also where it is asked again"
    assert asking.asked()["round 0, 0"] == 1 and asking.asked()["round 1, 0"] == 2
