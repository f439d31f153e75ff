"""Agents that harm the process that runs them; installed as a plug-in by `install`."""

import asyncio
import ctypes
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step

HARMS = ("loop", "exit", "segfault", "memory", "good")
AT = 3
"""The step at which harm is done."""
START_HELD = Path(__file__).parent / "start_held"
"""While this file is there, no process that imports this module gets any further."""


class Rogue(Agent):
    """Does `options.harm` at the third step, each time."""

    name: ClassVar[str] = "rogue"
    isolation: ClassVar[Any] = "process"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"harm": {"enum": list(HARMS)}, "steps": {"type": "integer", "default": 10}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Do harm.", [PlanStep("Harm")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Do harm.", [PlanStep("Harm")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, ctx.options["steps"] + 1):
            if step == AT:
                do_harm(ctx.options["harm"])
            await asyncio.sleep(0.02)
            yield Step(step)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Harmless."


class Held(Agent):
    """Three quick steps; its report waits while the file `options.hold` is there."""

    name: ClassVar[str] = "held"
    isolation: ClassVar[Any] = "process"
    stop_grace: ClassVar[float] = 0.3
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"hold": {"type": "string"}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Wait.", [PlanStep("Wait")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Wait.", [PlanStep("Wait")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, AT + 1):
            yield Step(step)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        while Path(ctx.options["hold"]).exists():
            await asyncio.sleep(0.05)
        return "Let go."


class HeldInside(Held):
    """The same in the worker's own process."""

    name: ClassVar[str] = "held-inside"
    isolation: ClassVar[Any] = "worker"


while START_HELD.exists():
    time.sleep(0.05)


def do_harm(harm: str) -> None:
    """End this process, one way or another."""
    if harm == "loop":
        while True:
            time.monotonic()
    elif harm == "exit":
        os._exit(7)
    elif harm == "segfault":
        ctypes.string_at(0)
    elif harm == "memory":
        eaten = []
        while True:
            eaten.append(bytearray(16_000_000))


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`/plugins, as pip would leave it."""
    plugins = folder / "plugins"
    info = plugins / "rogue_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (plugins / "rogue_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rogue-agents\nVersion: 1.0\n")
    agents = {"rogue": Rogue, "held": Held, "held-inside": HeldInside}
    lines = [f"{name} = rogue_agents:{agent.__name__}" for name, agent in agents.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pavo.agents]", *lines, ""]))
    (info / "RECORD").write_text("")
