"""Agents that leave when they are told to end, each in its own way; installed as a plug-in by `install`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused


class Panic(BaseException):
    """Not what `except Exception` catches."""


class Leaving(Agent):
    """Waits in `options.where` until it is told to end, then does `options.how`; the next time it simply works."""

    name: ClassVar[str] = "leaving"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": ["where", "how", "mark"],
        "properties": {"mark": {"description": "A file that is made when it begins to wait."}},
    }

    async def _leave(self, ctx: AgentContext, where: str) -> Any:
        """True when there is nothing to do but to return; None when it is to go on."""
        mark = Path(ctx.options["mark"])
        if ctx.options["how"] == "panic" and ctx.options["where"] == where:
            mark.touch()
            raise Panic("of its own")
        if ctx.options["where"] != where or mark.exists():
            return None
        mark.touch()
        await ctx.cancelled.wait()
        match ctx.options["how"]:
            case "raise":
                raise RuntimeError("I was told to end.")
            case "refuse":
                raise AgentRefused("I was told to end.")
            case "exit":
                raise SystemExit
            case _:
                return True

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        if await self._leave(ctx, "plan"):
            half = PlanDraft("Half.", [PlanStep("Half of it")])
            return half if ctx.options["how"] == "half" else None  # type: ignore[return-value]
        return PlanDraft("Leave.", [PlanStep("Leave")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Leave.", plan.steps), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number in range((checkpoint or 0) + 1, 4):
            if number == 2 and await self._leave(ctx, "execute"):
                if ctx.options["how"] == "garbage":
                    yield "half a step"  # type: ignore[misc]
                return
            yield Step(number)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Half." if await self._leave(ctx, "report") else "Whole."


class LeavingApart(Leaving):
    """The same in a process of its own."""

    name: ClassVar[str] = "leaving_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "leaving_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "leaving_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaving-agents\nVersion: 1.0\n")
    agents = "leaving = leaving_agents:Leaving\nleaving_apart = leaving_agents:LeavingApart\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
