"""Agents that harm the process that runs them; installed as a plug-in by `install`."""

import asyncio
import ctypes
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step

HARMS = ("loop", "exit", "segfault", "memory", "good")
AT = 3
"""The step at which harm is done."""
PLACES = ("plan", "execute", "report")
CODE = 1
"""Of this module; `swap_code` installs a higher one."""


class Rogue(Agent):
    """Does `options.harm` at the third step, each time."""

    name: ClassVar[str] = "rogue"
    isolation: ClassVar[Any] = "process"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"harm": {"enum": list(HARMS)}, "steps": {"type": "integer", "default": 10}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Do harm.", [PlanStep("Harm")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Do harm.", [PlanStep("Harm")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, ctx.options["steps"] + 1):
            if step == AT:
                do_harm(ctx.options["harm"])
            await asyncio.sleep(0.02)
            yield Step(step)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Harmless."


class Held(Agent):
    """Three quick steps; its report waits while the file `options.hold` is there."""

    name: ClassVar[str] = "held"
    isolation: ClassVar[Any] = "process"
    stop_grace: ClassVar[float] = 0.3
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"hold": {"type": "string"}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Wait.", [PlanStep("Wait")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Wait.", [PlanStep("Wait")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, AT + 1):
            yield Step(step)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        while Path(ctx.options["hold"]).exists():
            await asyncio.sleep(0.05)
        return "Let go."


class HeldInside(Held):
    """The same in the worker's own process."""

    name: ClassVar[str] = "held-inside"
    isolation: ClassVar[Any] = "worker"


class Unruly(Agent):
    """Raises what is no Exception, in `options.at`."""

    name: ClassVar[str] = "unruly"
    isolation: ClassVar[Any] = "process"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"at": {"enum": list(PLACES)}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        self._raise(ctx, "plan")
        return PlanDraft("Raise.", [PlanStep("Raise")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Raise.", [PlanStep("Raise")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, AT + 1):
            yield Step(step)
        self._raise(ctx, "execute")

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        self._raise(ctx, "report")
        return "Nothing raised."

    def _raise(self, ctx: AgentContext, place: str) -> None:
        if ctx.options["at"] == place:
            raise Outburst(f"in {place}")


class UnrulyInside(Unruly):
    """The same in the worker's own process."""

    name: ClassVar[str] = "unruly-inside"
    isolation: ClassVar[Any] = "worker"


class Outburst(BaseException):
    """What `except Exception` does not see."""


class Patient(Agent):
    """Steps of `options.seconds`, each with `options.bytes` of text in an event; `options.blocking` ones block their
    event loop."""

    name: ClassVar[str] = "patient"
    isolation: ClassVar[Any] = "process"
    silence_seconds: ClassVar[float | None] = 60.0  # the stack's own limit is one that a rogue's loop meets soon
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "steps": {"type": "integer"},
            "seconds": {"type": "number"},
            "bytes": {"type": "integer", "default": 0},
            "blocking": {"type": "boolean", "default": False},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Take time.", [PlanStep("Take time")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Take time.", [PlanStep("Take time")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for step in range((checkpoint or 0) + 1, ctx.options["steps"] + 1):
            if ctx.options["blocking"]:
                time.sleep(ctx.options["seconds"])
            else:
                await asyncio.sleep(ctx.options["seconds"])
            yield Step(step, events=[Event("told", {"text": "x" * ctx.options["bytes"], "code": CODE})])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Took time."


class PatientInside(Patient):
    """The same in the worker's own process."""

    name: ClassVar[str] = "patient-inside"
    isolation: ClassVar[Any] = "worker"


class Quick(Agent):
    """Steps of `options.seconds`; each call is a line of the file `options.log`."""

    name: ClassVar[str] = "quick"
    isolation: ClassVar[Any] = "worker"
    quick: ClassVar[bool] = True
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"steps": {"type": "integer"}, "seconds": {"type": "number"}, "log": {"type": "string"}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        _note(ctx, "plan")
        return PlanDraft("Hurry.", [PlanStep("Hurry")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Hurry.", [PlanStep("Hurry")]), {item.id: "no" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        _note(ctx, "execute")
        for step in range((checkpoint or 0) + 1, ctx.options["steps"] + 1):
            await asyncio.sleep(ctx.options["seconds"])
            _note(ctx, f"step-{step}")
            yield Step(step)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        _note(ctx, "report")
        return "Hurried."


def _note(ctx: AgentContext, call: str) -> None:
    with Path(ctx.options["log"]).open("a") as log:
        log.write(f"{call}\n")


def do_harm(harm: str) -> None:
    """End this process, one way or another."""
    if harm == "loop":
        while True:
            time.monotonic()
    elif harm == "exit":
        os._exit(7)
    elif harm == "segfault":
        ctypes.string_at(0)
    elif harm == "memory":
        eaten = []
        while True:
            eaten.append(bytearray(16_000_000))


def install(folder: Path, code: int = 1) -> None:
    """Make a plug-in distribution in `folder`/plugins, as pip would leave it; another `code` takes its place."""
    plugins = folder / "plugins"
    for former in plugins.glob("rogue_agents-*.dist-info"):
        shutil.rmtree(former)
    info = plugins / f"rogue_agents-{code}.0.dist-info"
    info.mkdir(parents=True)
    source = Path(__file__).read_text().replace("\nCODE = 1\n", f"\nCODE = {code}\n")
    (plugins / "rogue_agents.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rogue-agents\nVersion: {code}.0\n")
    agents = {
        agent.name: agent.__name__
        for agent in (Rogue, Held, HeldInside, Unruly, UnrulyInside, Patient, PatientInside, Quick)
    }
    lines = [f"{name} = rogue_agents:{found}" for name, found in agents.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pavo.agents]", *lines, ""]))
    (info / "RECORD").write_text("")
