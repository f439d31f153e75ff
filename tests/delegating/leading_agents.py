"""Agents that delegate, in the worker and in a process, and one that is delegated to; installed by `install`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused


def note(ctx: AgentContext, what: str) -> None:
    """Tell the test what happened."""
    with Path(ctx.options["notes"]).open("a") as notes:
        notes.write(f"{what}\n")


class Leading(Agent):
    """Delegates what its options say, all at once, and reports what came of each."""

    name: ClassVar[str] = "leading"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Delegate", [PlanStep("Delegate")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        note(ctx, f"begin {checkpoint}")
        if checkpoint is None:
            yield Step({"told": None})
        if (checkpoint or {}).get("told") is None:
            wanted = ctx.options["children"]
            told = await asyncio.gather(*(self._delegated(ctx, each) for each in wanted))
            note(ctx, f"told {told}")
            yield Step({"told": told})

    async def _delegated(self, ctx: AgentContext, wanted: Mapping[str, Any]) -> str:
        found = await ctx.delegate(**wanted)
        return f"{found.stage}: {found.report if found.done else found.cause}"

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return " | ".join(checkpoint["told"])


class LeadingApart(Leading):
    """The same in a process of its own."""

    name: ClassVar[str] = "leading_apart"
    isolation: ClassVar[Any] = "process"


class Helping(Agent):
    """Does what it is asked once a file is there, if its options name one."""

    name: ClassVar[str] = "helping"
    isolation: ClassVar[Any] = "worker"
    stop_grace: ClassVar[float] = 0.2
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"go": {"type": "string"}, "refuse": {"type": "boolean"}},
        "additionalProperties": False,
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Help", [PlanStep("Help")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if checkpoint is None:
            yield Step("begun")
        if ctx.options.get("refuse"):
            raise AgentRefused("I would rather not.", remedy="Ask somebody else.")
        while "go" in ctx.options and not Path(ctx.options["go"]).exists():
            await asyncio.sleep(0.02)
        yield Step("helped")

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"helped with {ctx.prompt}"


def install(folder: Path, *, but: str = "") -> None:
    """Make a plug-in of these in `folder`; one may be left out."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {"leading": "Leading", "leading_apart": "LeadingApart", "helping": "Helping"}
    agents.pop(but, None)
    install_module(folder, Path(__file__), {"pavo.agents": agents})
