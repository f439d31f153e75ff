"""Agents that say what they write while they write it; installed as a plug-in by `install`."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Emitting(Agent):
    """Says words one after the other; each step is an answer of so many. The words of an attempt name it."""

    name: ClassVar[str] = "emitting"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"words": {"default": 100}, "pause": {"default": 0.01}, "answers": {"default": 1}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        ctx.emit("thought", {"text": "How about an answer?"})
        return PlanDraft(ctx.prompt, [PlanStep("Answer")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft(plan.summary, plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number in range((checkpoint or {"n": 0})["n"] + 1, ctx.options["answers"] + 1):
            said = ""
            for word in range(ctx.options["words"]):
                piece = f"{ctx.attempt}:{number}:{word}:{time.time():.4f} "
                said += piece
                ctx.emit("text", {"text": piece, "words": word + 1})
                await asyncio.sleep(ctx.options["pause"])
            yield Step({"n": number}, [Event("answer", {"text": said})])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Answered."


class EmittingApart(Emitting):
    """The same in a process of its own."""

    name: ClassVar[str] = "emitting_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "emitting_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "emitting_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: emitting-agents\nVersion: 1.0\n")
    agents = "emitting = emitting_agents:Emitting\nemitting_apart = emitting_agents:EmittingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
