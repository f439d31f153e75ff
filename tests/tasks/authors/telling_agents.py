"""Agents that tell what they are given, print and fail; installed as a plug-in by `install`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused


def told(ctx: AgentContext) -> dict[str, Any]:
    """What the context says of this moment."""
    user = {"id": str(ctx.user.id), "email": ctx.user.email, "name": ctx.user.name}
    return {"user": user, "attempt": ctx.attempt, "key": ctx.step_key, "steps": ctx.steps}


class Telling(Agent):
    """Four checkpoints, two for each of the plan's two steps; each tells the context in an event."""

    name: ClassVar[str] = "telling"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "fail_at": {"type": "integer", "default": 0},
            "plan_step": {"default": None},
            "print": {"type": "string", "default": ""},
            "times": {"type": "integer", "default": 1},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        print(f"planning {ctx.prompt}")
        if ctx.prompt == "refuse":
            raise AgentRefused(f"refused at {ctx.step_key}")
        return PlanDraft(f"Tell {ctx.prompt} {ctx.step_key} {ctx.attempt}", [PlanStep("One"), PlanStep("Two")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        if ctx.prompt == "refuse the revision":
            raise AgentRefused(f"refused at {ctx.step_key}")
        draft = PlanDraft(f"Tell again {ctx.step_key} {ctx.attempt}", [PlanStep("One"), PlanStep("Two")])
        return Revision(draft, {item.id: "Done." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for n in range(checkpoint["n"] if checkpoint else 0, 4):
            for _ in range(ctx.options["times"]):
                if ctx.options["print"]:
                    print(ctx.options["print"], flush=True)
            if n == 1 and ctx.prompt == "cancel all":
                for task in asyncio.all_tasks():
                    task.cancel()
                await asyncio.sleep(3600)
            if n + 1 == ctx.options["fail_at"]:
                raise RuntimeError(f"broken at {ctx.step_key}")
            at = ctx.options["plan_step"]
            yield Step({"n": n + 1}, [Event("told", told(ctx))], plan_step=1 + n // 2 if at is None else at)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{ctx.step_key} {ctx.steps}"


class TellingApart(Telling):
    """The same in a process of its own."""

    name: ClassVar[str] = "telling_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "telling_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "telling_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: telling-agents\nVersion: 1.0\n")
    points = "telling = telling_agents:Telling\ntelling_apart = telling_agents:TellingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{points}")
    (info / "RECORD").write_text("")
