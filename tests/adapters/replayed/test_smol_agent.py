"""An agent of smolagents through kills, in both isolations: no model asked twice, no tool run twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from smolagents import CodeAgent, Model, ToolCallingAgent

from pavo.errors import ModelRefused
from pavo.testing import AgentTrial, ContractBroken
from tests.adapters.replayed.smol_agents import Finches, install
from tests.adapters.stack import Own, stack
from tests.driving import until
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

WEIGHING = [{"name": "weigh", "arguments": {"what": "wren"}}, {"name": "measure", "arguments": {"what": "wren"}}]
LISTENING = [
    {"id": "call-5", "name": "fails", "arguments": {"why": "rain"}},
    {"id": "call-6", "name": "listen", "arguments": {"where": "hedge"}},
]
ANSWERS: list[dict[str, Any]] = [
    {"tools": WEIGHING},
    {"tools": [{"id": "call-4", "name": "listener", "arguments": {"task": "Listen."}}]},
    {"tools": [{"id": "call-9", "name": "user_input", "arguments": {"question": "Which color?"}}]},
    {"tools": [{"id": "call-10", "name": "final_answer", "arguments": {"answer": "A brown wren of 7 g."}}]},
]
LISTENERS: list[dict[str, Any]] = [
    {"tools": LISTENING},
    {"text": 'Action: {"name": "listen", "arguments": {"where": "wood"}}'},  # smolagents makes an id up for it
    {"tools": [{"id": "call-8", "name": "final_answer", "arguments": {"answer": "A wren."}}]},
]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    async with stack(parts, folder, **models) as made:
        yield made


@pytest.mark.fault
@pytest.mark.parametrize("agent", ["finches", "finches_inside"])
async def test_nothing_is_asked_or_done_twice(own: Own, model_server: ModelServer, agent: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script, listeners = model_server.script(*ANSWERS), model_server.script(*LISTENERS)
    (tmp_path / "hold").touch()
    options = {"folder": str(tmp_path), "users": [script.name, listeners.name]}
    task = await own.tasks.started(options, agent_type=agent, auto_accept=True)

    async def is_in_the_middle() -> bool:
        done = [event["tool"] for event in await own.tasks.events(task) if event["type"] == "tool_done"]
        return "function/weigh" in done and "listen-hedge" in told.read_text()

    await until(is_in_the_middle, what="one tool that has ended, and one that is at work")
    await own.kill()
    (tmp_path / "hold").unlink()
    [gate] = await own.gates(task, 1)
    assert gate["text"] == "Which color?"
    await own.kill()  # while people are asked
    await own.answer(gate, "brown")
    await own.tasks.wait(task, "DONE")
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "A brown wren of 7 g."
    assert Counter(told.read_text().splitlines()) == {
        **{"weigh-wren": 1, "measured-wren": 1},
        **{"listen-hedge": 2, "listen-wood": 1},
    }
    requests, heard = script.told()["requests"], listeners.told()["requests"]
    assert (len(requests), len(heard)) == (len(ANSWERS), len(LISTENERS)), "a model was asked again"
    assert "rain" in str(heard[1]["messages"]), "the model was not told why a tool failed"
    assert "brown" in str(requests[-1]["messages"])
    rounds = [event["round"] for event in await own.tasks.events(task) if event["type"] == "round"]
    assert rounds == list(range(1, len([*ANSWERS, *LISTENERS]) + 1))


async def test_it_keeps_the_contract(tmp_path: Path) -> None:
    done: list[str] = []

    def model(request: Any) -> Any:
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        done.append(f"model {turn}")
        name, arguments = ("final_answer", '{"answer": "Done."}') if turn else ("weigh", '{"what": "wren"}')
        return {"tool_calls": [{"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}]}

    def outside() -> list[str]:
        return sorted([*done, *(tmp_path / "told").read_text().splitlines()])

    def begin() -> None:
        done.clear()
        (tmp_path / "told").unlink(missing_ok=True)

    trial = AgentTrial(
        Finches,
        options={"folder": str(tmp_path)},
        models=model,
        feedback=(),
        isolation="worker",
        reset=begin,
        outside=outside,
        same=lambda outcome: outcome.report,
    )
    assert (await asyncio.to_thread(trial.check)).report == "Done."
    assert "weigh-wren" in outside() and outside().count("weigh-wren") == 1


async def test_what_a_model_refuses_is_told_as_such(tmp_path: Path) -> None:
    refused = ModelRefused("The key is wrong.", remedy="Give another.", status=401)
    options = {"folder": str(tmp_path)}
    trial = AgentTrial(Finches, options=options, models=[refused] * 9, feedback=(), isolation="worker")
    with pytest.raises(ContractBroken, match=r"The key is wrong"):
        await asyncio.to_thread(trial.check)


class Coding(Finches):
    """An agent that writes code."""

    def build(self, ctx: Any) -> Any:
        return CodeAgent([], Model(), verbosity_level=0)


class Managing(Finches):
    """An agent that has another one write code."""

    def build(self, ctx: Any) -> Any:
        coder = CodeAgent([], Model(), name="coder", description="Codes.", verbosity_level=0)
        return ToolCallingAgent([], Model(), managed_agents=[coder], verbosity_level=0)


class Shared(Finches):
    """One agent for all tasks."""

    wraps = ToolCallingAgent([], Model(), verbosity_level=0)

    def build(self, ctx: Any) -> Any:
        return self.wraps


@pytest.mark.parametrize("agent", [Coding, Managing])
async def test_code_that_a_model_writes_is_refused(agent: type[Finches]) -> None:
    with pytest.raises(ContractBroken, match="CodeAgent is no ToolCallingAgent"):
        await AgentTrial(agent, feedback=(), isolation="worker").run()


async def test_an_agent_is_given_back_as_it_was() -> None:
    def model(request: Any) -> Any:
        assert len(request["messages"]) == 2, "something of an earlier run is left"
        call = {"name": "final_answer", "arguments": '{"answer": {"a": [1]}}'}
        return {"tool_calls": [{"id": "c1", "type": "function", "function": call}]}

    for _ in range(2):
        outcome = await AgentTrial(Shared, models=model, feedback=(), isolation="worker").run()
        assert '{"a":[1]}' in outcome.report
    assert Shared.wraps.memory.steps == [] and type(Shared.wraps.model) is Model
