"""Agents that use what is secret, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused, ModelFailed
from pavo.tools.contract import tool

_seen: set[str] = set()


@tool(effect="idempotent")
def weigh(what: str) -> int:
    """How long a word is."""
    return len(what)


class Stranger(Agent):
    """Declares no secret; asks models, in both ways, and calls a tool."""

    name: ClassVar[str] = "canary_stranger"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Ask", [PlanStep("Ask")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Ask again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if checkpoint is None:
            yield await self._step(ctx)
        if ctx.options.get("raises"):
            raised = AgentRefused if self._was_here(ctx) else RuntimeError  # tried again, and then for good
            raise raised(f"the service refused {await ctx.secret('RAISED')}")

    async def _step(self, ctx: AgentContext) -> Step:
        held = await self._secret(ctx, "TOKEN")
        gateway = await ctx.gateway()
        script: str = ctx.options["script"]
        asked = f"held: {len(held)} {self._asked(ctx)} {gateway.token}"
        model = ctx.options.get("model", "scripted")
        told = {"messages": [{"role": "user", "content": asked}], "user": script, "model": model}
        first = await self._complete(ctx, told)
        whole = {"model": model, "user": script, "messages": [{"role": "user", "content": self._asked(ctx)}]}
        second = await asyncio.to_thread(_post, gateway.base_url, gateway.token, whole)
        weighed = await ctx.call("weigh", {"what": ctx.options["argument"]})
        await ctx.artifacts.put("weights.txt", f"{weighed}")
        return Step({"length": len(held), "answers": [len(first), len(second)], "weighed": weighed})

    def _was_here(self, ctx: AgentContext) -> bool:
        before = ctx.options["asked"] + self.name in _seen
        _seen.add(ctx.options["asked"] + self.name)
        return before

    def _asked(self, ctx: AgentContext) -> str:
        return ctx.options["asked"][::-1]

    async def _secret(self, ctx: AgentContext, name: str) -> str:
        try:
            return await ctx.secret(name)
        except AgentRefused:
            return ""

    async def _complete(self, ctx: AgentContext, request: dict[str, Any]) -> str:
        try:
            return (await ctx.complete(request))["choices"][0]["message"]["content"]
        except ModelFailed as failed:
            raise RuntimeError(failed.detail) from failed

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint}"


class StrangerApart(Stranger):
    """The same in a process of its own."""

    name: ClassVar[str] = "canary_stranger_apart"
    isolation: ClassVar[Any] = "process"


class Trusted(Stranger):
    """Declares the secrets that it uses, one of which it raises."""

    name: ClassVar[str] = "canary_trusted"
    secrets: ClassVar[Sequence[str]] = ("TOKEN", "RAISED")


class TrustedApart(Trusted):
    """The same in a process of its own."""

    name: ClassVar[str] = "canary_trusted_apart"
    isolation: ClassVar[Any] = "process"

    def _was_here(self, ctx: AgentContext) -> bool:
        seen = Path("seen")  # in the task's own folder: each attempt is a new process
        before = seen.exists()
        seen.touch()
        return before


def _post(base_url: str, token: str, body: dict[str, Any]) -> str:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    sent = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {each.name: each.__name__ for each in (Stranger, StrangerApart, Trusted, TrustedApart)}
    install_module(folder, Path(__file__), {"pavo.agents": agents, "pavo.tools": {"weigh": "weigh"}})
