"""Agents that write down from when to when their code ran."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Spanning(Agent):
    """`options.spans` is a file that gets a line for each plan and each step: label, begin, end; the machine's clock
    that only goes forward, in nanoseconds.
    """

    name: ClassVar[str] = "spanning"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": ["spans", "label"],
        "properties": {
            "spans": {"type": "string"},
            "label": {"type": "string"},
            "steps": {"type": "integer", "default": 1},
            "seconds": {"type": "number", "default": 0.0},
            "plan_seconds": {"type": "number", "default": 0.0},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        await span(ctx, ctx.options["plan_seconds"])
        return PlanDraft("Take time.", [PlanStep("Take time")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(await self.plan(ctx), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number in range((checkpoint or {"done": 0})["done"], ctx.options["steps"]):
            await span(ctx, ctx.options["seconds"])
            yield Step({"done": number + 1})

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Taken."


class SpanningApart(Spanning):
    """The same in a process of its own."""

    name: ClassVar[str] = "spanning_apart"
    isolation: ClassVar[Any] = "process"


async def span(ctx: AgentContext, seconds: float) -> None:
    """Take so long, and write it down."""
    file, begun = Path(ctx.options["spans"]), time.monotonic_ns()
    file.with_suffix(f".{ctx.options['label']}").touch()
    await asyncio.sleep(seconds)
    with file.open("a") as lines:
        lines.write(f"{ctx.options['label']} {begun} {time.monotonic_ns()}\n")


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "spanning_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "spanning_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spanning-agents\nVersion: 1.0\n")
    agents = "spanning = spanning_agents:Spanning\nspanning_apart = spanning_agents:SpanningApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
