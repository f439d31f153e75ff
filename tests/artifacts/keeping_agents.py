"""Agents that keep files, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import ArtifactError, ToolFailed
from pavo.tools.contract import ToolContext, tool

HELD_SECONDS = 30.0


def tell(folder: str, what: str) -> None:
    with (Path(folder) / "told").open("a") as told:
        told.write(f"{what}\n")


async def held(folder: str) -> None:
    """While a test says so."""
    for _ in range(int(HELD_SECONDS / 0.02)):
        if not (Path(folder) / "hold").exists():
            return
        await asyncio.sleep(0.02)


@tool(effect="read")
def long(size: int, folder: str) -> str:
    """Answer at length."""
    tell(folder, "long")
    return "é" * (size // 2)


@tool(effect="idempotent")
def note(path: str, text: str, ctx: ToolContext, fails: bool = False) -> str:
    """Write a file, and perhaps fail then."""
    ctx.workspace.write(path, text)
    if fails:
        raise RuntimeError("after the file was written")
    return path


class Keeping(Agent):
    """Keeps what its options say, one after the other, and reports what it then has."""

    name: ClassVar[str] = "keeping"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        try:
            await ctx.artifacts.put("early.txt", "x")
        except ArtifactError as error:
            return PlanDraft("Keep", [PlanStep("Keep", error.detail)])
        return PlanDraft("It kept what it must not", [])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Keep again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        folder = ctx.options["folder"]
        told = [await self._put(ctx, each) for each in ctx.options["puts"]]
        for each in ctx.options.get("calls", ()):
            told.append(json.dumps(await self._call(ctx, **each), sort_keys=True))
        tell(folder, "put")
        await held(folder)
        fails = Path(folder) / "fail"
        if fails.exists():
            fails.unlink()
            raise RuntimeError("after the puts, before the checkpoint")
        for each in ctx.options.get("looks", ()):
            told.append(Path(each).read_text() if Path(each).exists() else f"no {each}")
        yield Step([each for each in told if each])

    async def _call(self, ctx: AgentContext, tool: str, args: Any, key: str | None = None) -> Any:
        try:
            return await ctx.call(tool, args, key=key)
        except ToolFailed as failed:
            return failed.detail

    async def _put(self, ctx: AgentContext, given: Mapping[str, Any]) -> str:
        data: Any = given.get("data")
        if "times" in given:
            data = data.encode() * given["times"]
        if "path" in given:
            place = Path(given["path"])
            place.write_bytes(b"by path " * 100_000)
            data = place
        if "open" in given:
            data = Path(given["open"])
        try:
            kept = await ctx.artifacts.put(given["name"], data, given.get("type"))
        except ArtifactError as error:
            return error.detail
        return "" if kept.name == given["name"] else f"{kept}"

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        told = list(checkpoint)
        for each in await ctx.artifacts.list():
            read = await ctx.artifacts.read(str(each.id), 0, 5)
            tail = await ctx.artifacts.read(each.name, max(0, each.bytes - 3), 100)
            told.append(f"{each.name} {each.media_type} {each.bytes} {read!r} {tail!r}")
        return "\n".join(told)


class KeepingApart(Keeping):
    """The same in a process of its own."""

    name: ClassVar[str] = "keeping_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {"keeping": "Keeping", "keeping_apart": "KeepingApart"}
    tools = {"long": "long", "note": "note"}
    install_module(folder, Path(__file__), {"pavo.agents": agents, "pavo.tools": tools})
