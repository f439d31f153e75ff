"""Agents that call tools, in the worker and in a process, and the tools; installed as a plug-in by `install`."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import ToolDenied, ToolFailed
from pavo.tools.contract import HappenedUnknown, ToolContext, tool

HELD_SECONDS = 30.0


def tell(folder: str, what: str) -> None:
    with (Path(folder) / "told").open("a") as told:
        told.write(f"{what}\n")


def held(folder: str) -> None:
    """While a test says so."""
    begun = time.monotonic()
    while (Path(folder) / "hold").exists() and time.monotonic() - begun < HELD_SECONDS:
        time.sleep(0.02)


@tool(effect="unsafe")
def pay(folder: str, amount: int, ctx: ToolContext) -> dict[str, Any]:
    """Pay once more each time that it is called."""
    tell(folder, f"pay {ctx.idempotency_key}")
    held(folder)
    return {"paid": amount}


@tool(effect="idempotent")
async def put(folder: str, name: str, ctx: ToolContext) -> str:
    """Put something where it belongs."""
    tell(folder, f"put {ctx.idempotency_key}")
    held(folder)
    return name


@tool(effect="read", seconds=2.5)
def bad(how: str) -> Any:
    """Misbehave."""
    if how == "hang":
        time.sleep(6)
    if how == "exit":
        raise SystemExit(3)
    if how == "raise":
        raise RuntimeError("no such\0luck")
    return {"bytes": b"x", "nul": "a\0b", "large": "x" * 100_000_000, "object": object()}.get(how, how)


def lost(folder: str) -> str:
    """Say that the connection was lost. It declares no effect, so it is unsafe."""
    tell(folder, "lost")
    raise HappenedUnknown("the connection was lost")


class Calling(Agent):
    """Calls what its options say, all at once, and reports what came of it."""

    name: ClassVar[str] = "calling"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Call", [PlanStep("Call")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Call again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        results = await asyncio.gather(*(self._call(ctx, **each) for each in ctx.options["calls"]))
        fails = Path(ctx.options["folder"]) / "fail"
        if fails.exists():
            fails.unlink()
            raise RuntimeError("after the calls, before the checkpoint")
        yield Step(results)

    async def _call(self, ctx: AgentContext, tool: str, args: Any, key: str | None = None) -> Any:
        try:
            return await ctx.call(tool, args, key=key)
        except ToolFailed as failed:
            return f"{'denied' if isinstance(failed, ToolDenied) else 'failed'}: {failed.detail}"

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint}"


class CallingApart(Calling):
    """The same in a process of its own."""

    name: ClassVar[str] = "calling_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {"calling": "Calling", "calling_apart": "CallingApart"}
    tools = {name: name for name in ("pay", "put", "bad", "lost")} | {"broken": "HELD_SECONDS"}
    install_module(folder, Path(__file__), {"pavo.agents": agents, "pavo.tools": tools})
