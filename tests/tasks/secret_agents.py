"""Agents that read secrets, in the worker and in a process; installed as a plug-in by `install`."""

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused


class Reading(Agent):
    """Reads what its options say, and records what it may: hashes, lengths and refusals."""

    name: ClassVar[str] = "reading"
    isolation: ClassVar[Any] = "worker"
    secrets: ClassVar[Sequence[str]] = ("TOKEN", "ABSENT")
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(f"Read {len(await ctx.secret('TOKEN'))} characters", [PlanStep("Read")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Read again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number, name in enumerate(ctx.options["names"]):
            if checkpoint is None or number >= checkpoint["read"]:
                found = await self._read(ctx, name)
                held = [key for key, value in os.environ.items() if found.get("value") and found["value"] in value]
                yield Step(
                    {
                        "read": number + 1,
                        "length": len(found.get("value", "")),
                        "refused": found.get("refused"),
                        "held": held,
                    }
                )
                if ctx.options.get("raises") and "value" in found:
                    print("It is", found["value"])
                    logging.getLogger("reading").warning("It is %s", found["value"])
                    raise RuntimeError(f"after {found['value']} was read")

    async def _read(self, ctx: AgentContext, name: str) -> dict[str, Any]:
        if name in ctx.options.get("fatal", ()):
            return {"value": await ctx.secret(name)}
        try:
            return {"value": await ctx.secret(name)}
        except AgentRefused as refused:
            return {"refused": refused.detail}

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint} {len(await ctx.secret('TOKEN'))}"


class ReadingApart(Reading):
    """The same in a process of its own, whose code asks past the contract."""

    name: ClassVar[str] = "reading_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": {"reading": "Reading", "reading_apart": "ReadingApart"}})
