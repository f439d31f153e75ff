"""Agents that hold on, end their process, or tell what they were given; installed as a plug-in by `install`."""

import asyncio
import ctypes
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step

MEMORY = 600
"""What `eat` takes, in MiB: more than a group of a test has, and not too much for the machine."""


def eat(group: str) -> None:
    """Take memory within a group of the test's, for the kernel to kill this process, and give it back.

    Args:
        group: the folder of one that this process is to join; empty: it is in one.
    """
    if group:
        Path(group, "cgroup.procs").write_text("0")
    for _ in [b"x" * (MEMORY << 20)]:
        pass


def wait_for_end_of(hold: Path) -> None:
    """Block while the file is there."""
    while hold.exists():
        time.sleep(0.02)


ENDS: Mapping[str, Any] = {
    "exit": lambda: os._exit(7),
    "leave": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class Blamed(Agent):
    """Three steps. Does `options.harm` in `options.where`, each time: plan, revise, report, the second step (execute),
    or after each of steps without an end, at one checkpoint (step) or one further each time (crawl). `hold` waits while
    the file `options.hold` is there."""

    name: ClassVar[str] = "blamed"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "where": {"default": ""},
            "harm": {"default": ""},
            "hold": {"default": ""},
            "seconds": {"default": 0},
            "group": {"default": ""},
            "newer": {"type": "object", "properties": {"shade": {"default": "green"}}, "default": {}},
        },
    }

    async def _harm(self, ctx: AgentContext, where: str) -> None:
        if ctx.options["where"] != where:
            return
        held = Path(ctx.options["hold"] or os.devnull + "/none")
        if ctx.options["harm"] == "thread":
            await asyncio.to_thread(wait_for_end_of, held)
            return
        while held.exists():
            await asyncio.sleep(0.02)
        if ctx.options["harm"] == "raise":
            raise RuntimeError("Of its own.")
        if ctx.options["harm"] == "block":
            time.sleep(ctx.options["seconds"])
        elif ctx.options["harm"] == "memory":
            eat(ctx.options["group"])
        elif ctx.options["harm"]:
            ENDS[ctx.options["harm"]]()

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        await self._harm(ctx, "plan")
        return PlanDraft("Be blamed.", [PlanStep("Blamed")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        await self._harm(ctx, "revise")
        read = sum(len(item.body) for item in feedback)
        return Revision(PlanDraft(f"I read {read} characters.", plan.steps), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        while ctx.options["where"] == "step":  # its checkpoint never says more
            yield Step(0)
            await self._harm(ctx, "step")
        while ctx.options["where"] == "crawl":
            checkpoint = (checkpoint or 0) + 1
            yield Step(checkpoint)
            await self._harm(ctx, "crawl")
        for number in range((checkpoint or 0) + 1, 4):
            if number == 2:
                await self._harm(ctx, "execute")
            yield Step(number)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        await self._harm(ctx, "report")
        return json.dumps(dict(ctx.options), sort_keys=True)


class BlamedApart(Blamed):
    """The same in a process of its own."""

    name: ClassVar[str] = "blamed-apart"
    isolation: ClassVar[Any] = "process"


class Hurried(Blamed):
    """Its steps may not take long."""

    name: ClassVar[str] = "blamed-hurried"
    step_seconds: ClassVar[Any] = 1.5


class HurriedApart(BlamedApart):
    """The same in a process of its own."""

    name: ClassVar[str] = "blamed-apart-hurried"
    step_seconds: ClassVar[Any] = 1.5


class Blocks(Blamed):
    """May not block for long."""

    name: ClassVar[str] = "blamed-blocks"
    silence_seconds: ClassVar[Any] = 1


class BlocksApart(BlamedApart):
    """The same in a process of its own."""

    name: ClassVar[str] = "blamed-blocks-apart"
    silence_seconds: ClassVar[Any] = 1


class Quick(Blamed):
    """Begins inside a workflow task."""

    name: ClassVar[str] = "blamed-quick"
    quick: ClassVar[bool] = True


AGENTS = (Quick, Blamed, BlamedApart, Hurried, HurriedApart, Blocks, BlocksApart)


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "blamed_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "blamed_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blamed-agents\nVersion: 1.0\n")
    lines = [f"{agent.name} = blamed_agents:{agent.__name__}" for agent in AGENTS]
    (info / "entry_points.txt").write_text("\n".join(["[pavo.agents]", *lines, ""]))
    (info / "RECORD").write_text("")
