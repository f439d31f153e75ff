"""An agent of smolagents without a stack: it keeps the contract, and what it refuses is told as such."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from smolagents import CodeAgent, Model, ToolCallingAgent

from pavo.errors import ModelRefused
from pavo.testing import AgentTrial, ContractBroken
from tests.adapters.replayed.smol_agents import Finches


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
