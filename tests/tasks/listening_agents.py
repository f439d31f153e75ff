"""Agents that read what people say, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Listening(Agent):
    """Works off messages, one step each, until one says "end"; its report quotes them and reads all of them again."""

    name: ClassVar[str] = "listening"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(f"Asked: {ctx.prompt}", [PlanStep("Listen")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        heard = " | ".join(item.body for item in feedback)
        return Revision(PlanDraft(f"Told: {heard}", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        state = checkpoint or {"after": 0, "heard": []}
        while "end" not in state["heard"]:
            for message in await ctx.messages(state["after"]):
                said = f"{message.author}: {message.body[:80]} ({message.at.tzinfo is not None})"
                state = {"after": message.seq, "heard": [*state["heard"], message.body[:80]]}
                yield Step(state, [Event("heard", {"said": said, "number": message.seq})])
            await asyncio.sleep(0.02)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        again = [message.body for message in await ctx.messages()]
        return f"{checkpoint['heard']} {again}"


class ListeningApart(Listening):
    """The same in a process of its own."""

    name: ClassVar[str] = "listening_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "listening_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "listening_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: listening-agents\nVersion: 1.0\n")
    agents = "listening = listening_agents:Listening\nlistening_apart = listening_agents:ListeningApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
