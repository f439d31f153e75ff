"""An agent of pydantic-ai without a stack: it keeps the contract, and what fails is told as such."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pavo.errors import ModelRefused
from pavo.testing import AgentTrial, ContractBroken
from tests.adapters.replayed.pydantic_agents import Birds


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
