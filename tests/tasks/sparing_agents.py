"""Agents whose checkpoint says more after many small steps only, and which tell of every call."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Sparing(Agent):
    """Works in groups of small steps; only the last of a group has a checkpoint that says more.

    `options.calls` is a file that gets a line for each beginning and each end of `execute`. While the file
    `options.told` is there, it asks people, or raises if that says so.
    """

    name: ClassVar[str] = "sparing"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": ["calls"],
        "properties": {
            "calls": {"type": "string"},
            "groups": {"type": "integer", "default": 1},
            "small": {"type": "integer", "default": 60},
            "seconds": {"type": "number", "default": 0.0},
            "plan_seconds": {"type": "number", "default": 0.0},
            "raise_after": {"type": ["integer", "null"], "default": None},
            "die_after": {"type": ["integer", "null"], "default": None},
            "told": {"type": "string", "default": ""},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        await asyncio.sleep(ctx.options["plan_seconds"])
        return PlanDraft("Be sparing.", [PlanStep("Spare")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        await asyncio.sleep(ctx.options["plan_seconds"])
        return Revision(PlanDraft("Be sparing.", plan.steps), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        done = checkpoint["groups"] if checkpoint else 0
        note(ctx, f"begin {done} {os.getpid()}")
        try:
            taken = 0
            for group in range(done, ctx.options["groups"]):
                for number in range(1, ctx.options["small"] + 1):
                    await asyncio.sleep(ctx.options["seconds"])
                    yield Step({"groups": group + (number == ctx.options["small"]), "of": ctx.options["groups"]})
                    taken += 1
                    if ctx.options["told"] and (told := Path(ctx.options["told"])).exists():
                        if told.read_text() == "raise":
                            raise RuntimeError("There is no way on.")
                        note(ctx, f"answered {await ctx.ask('on', 'Shall I go on?')}")
                    if taken == ctx.options["raise_after"]:
                        raise RuntimeError("There is no way on.")
                    if taken == ctx.options["die_after"]:
                        os._exit(3)
        finally:
            note(ctx, f"end {os.getpid()}")

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint['groups']} groups."


class SparingApart(Sparing):
    """The same in a process of its own."""

    name: ClassVar[str] = "sparing_apart"
    isolation: ClassVar[Any] = "process"


def note(ctx: AgentContext, line: str) -> None:
    """Add a line to the file of the task."""
    with Path(ctx.options["calls"]).open("a") as file:
        file.write(f"{line}\n")


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "sparing_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "sparing_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sparing-agents\nVersion: 1.0\n")
    agents = "sparing = sparing_agents:Sparing\nsparing_apart = sparing_agents:SparingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
