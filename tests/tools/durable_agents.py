"""Agents that call durable functions, in both isolations; installed as a plug-in by `install`."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pavo
from pavo.adapters import GeneratorAgent
from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused, ToolFailed
from pavo.tools.contract import HappenedUnknown, ToolContext

HELD_SECONDS = 30.0


def tell(folder: str, what: str) -> None:
    with (Path(folder) / "told").open("a") as told:
        told.write(f"{what}\n")


@pavo.durable(effect="unsafe")
async def pay(folder: str, amount: int, ctx: ToolContext) -> dict[str, Any]:
    """Pay once more each time that it is called."""
    tell(folder, f"pay {ctx.idempotency_key} {os.getpid()}")
    begun = time.monotonic()
    while (Path(folder) / "hold").exists() and time.monotonic() - begun < HELD_SECONDS:
        await asyncio.sleep(0.02)
    return {"paid": amount}


@pavo.durable(effect="idempotent", name="put-it")
def put(folder: str, name: str = "n", *, ctx: ToolContext) -> str:
    tell(folder, f"put {ctx.idempotency_key} {os.getpid()}")
    begun = time.monotonic()
    while (Path(folder) / "hold").exists() and time.monotonic() - begun < HELD_SECONDS:
        time.sleep(0.02)
    return name


@pavo.durable(effect="read", seconds=0.3)
async def bad(how: str) -> Any:
    if how == "hang":
        await asyncio.sleep(30)
    if how == "exit":
        raise SystemExit(3)
    if how == "raise":
        raise RuntimeError("no luck")
    if how == "nested":
        return await bad("well")
    return {"bytes": b"x", "nul": "a\0b", "large": "x" * 300_000, "object": object()}.get(how, how)


@pavo.durable
def lost(folder: str) -> None:
    tell(folder, "lost")
    raise HappenedUnknown("the connection was lost")


async def told(call: Any) -> Any:
    try:
        return await call
    except (ToolFailed, AgentRefused) as failed:
        return f"{type(failed).__name__}: {failed.detail}"


class Durable(Agent):
    """Calls what its options say."""

    name: ClassVar[str] = "durable"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Call", [PlanStep(await told(pay("", 1)))])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Call again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if checkpoint is not None:
            return
        folder = ctx.options.get("folder", "")
        results: list[Any] = []
        match ctx.options["what"]:
            case "both":
                results = list(await asyncio.gather(pay(folder, 5), pay(folder, 5), put.aio(folder, "x")))
            case "pay":
                results = [await pay(folder, amount=5)]
            case "lost":
                results = [await lost.aio(folder)]
            case _:
                ways = ("hang", "exit", "raise", "nested", "bytes", "nul", "large", "object", "well")
                results = [await told(bad(how)) for how in ways]
                results += [
                    await told(bad(object())),
                    await told(asyncio.to_thread(put, folder)),
                    await told(plain(folder)),
                ]
        fails = Path(folder) / "fail"
        if folder and fails.exists():
            fails.unlink()
            raise RuntimeError("after the calls, before the checkpoint")
        yield Step(results)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint} {plan.steps[0].title}"


async def plain(folder: str) -> Any:
    return put(folder)


class DurableApart(Durable):
    """The same in a process of its own."""

    name: ClassVar[str] = "durable_apart"
    isolation: ClassVar[Any] = "process"


class Orchestrator:
    """An old class whose functions were made durable."""

    def __init__(self) -> None:
        self.at = 0

    def run(self, folder: str) -> Iterator[Any]:
        if self.at == 0:
            self.at = 1
            yield put(folder, "first")
        if self.at == 1:
            self.at = 2
            yield lost(folder)


class Orchestrated(GeneratorAgent):
    """In a process of its own."""

    name = "durable_generator"
    wraps = Orchestrator
    method = "run"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def arguments(self, ctx: Any, plan: Any) -> Any:
        return [ctx.options["folder"]]


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {"durable": "Durable", "durable_apart": "DurableApart", "durable_generator": "Orchestrated"}
    install_module(folder, Path(__file__), {"pavo.agents": agents})
