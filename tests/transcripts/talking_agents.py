"""Agents that keep their conversation in the transcript; installed as a plug-in by `install`."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Talking(Agent):
    """Holds so many rounds of a conversation, of which each reads the end of what was said. The checkpoint is the
    position of the last message."""

    name: ClassVar[str] = "talking"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "rounds": {"default": 10},
            "size": {"default": 100},
            "pause": {"default": 0.0},
            "window": {"default": 20_000},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(f"{await ctx.transcript.count()} messages", [PlanStep("Talk")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft(plan.summary, plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        state = checkpoint or {"begins": await ctx.transcript.count(), "at": await ctx.transcript.count()}
        while (state["at"] - state["begins"]) // 2 < ctx.options["rounds"]:
            began = time.perf_counter()
            if state["at"]:
                window = await ctx.transcript.read(newest=True, max_bytes=ctx.options["window"])
                assert window[-1].position == state["at"], "what was recorded is there, and no more"
            round_ = (state["at"] - state["begins"]) // 2 + 1
            call = {"role": "assistant", "calls": [{"tool": "x", "round": round_, "attempt": ctx.attempt}]}
            result = {"role": "tool", "content": os.urandom(ctx.options["size"] // 2).hex()}
            await asyncio.sleep(ctx.options["pause"])
            state = {**state, "at": state["at"] + 2}
            taken = {"read": time.perf_counter() - began, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
            yield Step(state, [Event("round", taken)] if round_ % 100 == 0 else [], messages=[call, result])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{await ctx.transcript.count()} messages."


class TalkingApart(Talking):
    """The same in a process of its own."""

    name: ClassVar[str] = "talking_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "talking_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "talking_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: talking-agents\nVersion: 1.0\n")
    agents = "talking = talking_agents:Talking\ntalking_apart = talking_agents:TalkingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
