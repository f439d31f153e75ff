"""Agents that go on with what was done before, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Following(Agent):
    """Its plan quotes what it follows, its report the whole transcript. Of what is to be held it waits for a file."""

    name: ClassVar[str] = "following"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        former = await ctx.former()
        if former is None:
            return PlanDraft(f"Asked: {ctx.prompt}", [PlanStep("Do it")])
        await self._held(ctx, "plan")
        said = " | ".join(message.body for message in former.messages)
        return PlanDraft(f"After v{former.plan.version} ({former.report}): {said}", [PlanStep("Do more")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        former = await ctx.former()
        draft = PlanDraft(f"Revised after v{former.plan.version if former else 0}", plan.steps)
        return Revision(draft, {item.id: "Done." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number in range(checkpoint or 0, 3):
            if number == 2 and plan.version > 1:
                await self._held(ctx, "execute")
            yield Step(number + 1, messages=[{"v": plan.version, "n": number}])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        told = [f"{each.data['v']}.{each.data['n']}" for each in await ctx.transcript.read()]
        return f"{' '.join(told)}; heard {[message.body for message in await ctx.messages()]}"

    async def _held(self, ctx: AgentContext, where: str) -> None:
        path = ctx.options.get(where)
        while path and not Path(path).exists():
            await asyncio.sleep(0.02)


class FollowingApart(Following):
    """The same in a process of its own."""

    name: ClassVar[str] = "following_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "following_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "following_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: following-agents\nVersion: 1.0\n")
    agents = "following = following_agents:Following\nfollowing_apart = following_agents:FollowingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
