"""An agent of the OpenAI Agents SDK through kills, in both isolations: no model asked twice, no tool run twice."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.adapters.replayed.sdk_agents import install
from tests.adapters.stack import Own, stack
from tests.driving import until
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

WEIGHING = [{"name": "weigh", "arguments": {"what": "wren"}}, {"name": "listen", "arguments": {"where": "hedge"}}]
ANSWERS: list[dict[str, Any]] = [
    {"tools": WEIGHING},
    {"tools": [{"id": "call-3", "name": "transfer_to_publisher", "arguments": {}}]},
    {"tools": [{"id": "call-4", "name": "publish", "arguments": {"text": "A wren."}}]},
    {"text": "A wren of 7 g."},
]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    async with stack(parts, folder, **models) as made:
        yield made


@pytest.mark.fault
@pytest.mark.parametrize("agent", ["sdk", "sdk_inside"])
async def test_nothing_is_asked_or_done_twice(own: Own, model_server: ModelServer, agent: str, tmp_path: Path) -> None:
    told, script = tmp_path / "told", model_server.script(*ANSWERS)
    (tmp_path / "hold").touch()
    options = {"folder": str(tmp_path), "user": script.name}
    task = await own.tasks.started(options, agent_type=agent, auto_accept=True)

    async def is_in_the_middle() -> bool:
        done = [event["tool"] for event in await own.tasks.events(task) if event["type"] == "tool_done"]
        return "function/weigh" in done and "listen-hedge" in told.read_text()

    await until(is_in_the_middle, what="one tool that has ended, and one that is at work")
    await own.kill()
    (tmp_path / "hold").unlink()
    [gate] = await own.gates(task, 1)
    assert "publish" in gate["text"] and "A wren." in gate["text"]
    assert "publish-A wren." not in told.read_text()
    await own.kill()  # while people are asked
    await own.answer(gate, "yes")
    await own.tasks.wait(task, "DONE")
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "A wren of 7 g."
    assert Counter(told.read_text().splitlines()) == {"weigh-wren": 1, "listen-hedge": 2, "publish-A wren.": 1}
    assert len(script.told()["requests"]) == len(ANSWERS), "a model was asked again"
    rounds = [event["round"] for event in await own.tasks.events(task) if event["type"] == "round"]
    assert rounds == [1, 2, 3, 4]
