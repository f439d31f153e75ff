"""An agent of pydantic-ai through kills, in both isolations: no model asked twice, no tool run twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pavo.errors import ModelRefused
from pavo.testing import AgentTrial, ContractBroken
from tests.adapters.replayed.pydantic_agents import Birds, install
from tests.adapters.stack import Own, stack
from tests.driving import until
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

WEIGHING = [
    {"name": "weigh", "arguments": {"what": "wren"}},
    {"name": "listen", "arguments": {"where": "hedge"}},
    {"name": "color", "arguments": {"of": "wren"}},
    {"name": "fails", "arguments": {"why": "rain"}},
]
ANSWERS: list[dict[str, Any]] = [
    {"tools": WEIGHING},
    {"tools": [{"name": "publish", "arguments": {"text": "A wren."}}]},
    {"text": "A brown wren of 7 g."},
]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    async with stack(parts, folder, **models) as made:
        yield made


@pytest.mark.fault
@pytest.mark.parametrize("agent", ["birds", "birds_inside"])
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
    assert gate["text"] == "Which color has wren?"
    await own.kill()  # while people are asked
    await own.answer(gate, "brown")

    async def asks_for_approval() -> bool:
        found = await own.tasks.client.get("/api/gates", params={"task_id": task, "state": "open"})
        return any("publish" in each["text"] for each in found.json()["items"])

    await until(asks_for_approval, what="the question whether to publish")
    [gate] = await own.gates(task, 1)
    await own.answer(gate, "yes")
    await own.tasks.wait(task, "DONE")
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "A brown wren of 7 g."
    assert Counter(told.read_text().splitlines()) == {"weigh-wren": 1, "listen-hedge": 2, "publish-A wren.": 1}
    requests = script.told()["requests"]
    assert len(requests) == len(ANSWERS), "a model was asked again"
    answered = {each["tool_call_id"]: each["content"] for each in requests[1]["messages"] if each["role"] == "tool"}
    assert any("rain" in text for text in answered.values()), "the model was not told why a tool failed"
    rounds = [event["round"] for event in await own.tasks.events(task) if event["type"] == "round"]
    assert rounds == [1, 2, 3]


async def test_it_keeps_the_contract(tmp_path: Path) -> None:
    done: list[str] = []

    def model(request: Any) -> Any:
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        done.append(f"model {turn}")
        if turn:
            return "Done."
        call = {"id": "c1", "type": "function", "function": {"name": "weigh", "arguments": '{"what": "wren"}'}}
        return {"content": None, "tool_calls": [call]}

    def outside() -> list[str]:
        return sorted([*done, *(tmp_path / "told").read_text().splitlines()])

    def begin() -> None:
        done.clear()
        (tmp_path / "told").unlink(missing_ok=True)

    trial = AgentTrial(
        Birds,
        options={"folder": str(tmp_path)},
        models=model,
        feedback=(),
        isolation="worker",
        reset=begin,
        outside=outside,
        same=lambda outcome: outcome.report,
    )
    assert (await asyncio.to_thread(trial.check)).report == "Done."
    assert outside() == ["model 0", "model 1", "weigh-wren"]


async def test_what_a_model_refuses_is_told_as_such(tmp_path: Path) -> None:
    refused = ModelRefused("The key is wrong.", remedy="Give another.", status=401)
    trial = AgentTrial(Birds, options={"folder": str(tmp_path)}, models=[refused] * 9, feedback=(), isolation="worker")
    with pytest.raises(ContractBroken, match=r"The key is wrong"):
        await asyncio.to_thread(trial.check)
