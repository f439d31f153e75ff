"""Agents that ask models, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import ModelFailed, PavoError


def text_of(answer: Mapping[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


class Completing(Agent):
    """Asks in each of its methods; in `execute` some rounds, each several at once, as its options say."""

    name: ClassVar[str] = "completing"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def _request(self, ctx: AgentContext, text: str) -> dict[str, Any]:
        return {
            "messages": [{"role": "user", "content": text}],
            "user": ctx.options["user"],
            **ctx.options.get("more", {}),
        }

    async def _ask(self, ctx: AgentContext, text: str, key: str | None = None) -> str:
        try:
            return text_of(await ctx.complete(self._request(ctx, text), key=key))
        except ModelFailed as failed:
            return f"failed: {failed.detail}"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(await self._ask(ctx, "plan"), [PlanStep("Ask")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        answer = await self._ask(ctx, "revise")
        return Revision(PlanDraft(answer, plan.steps), {item.id: answer for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        said: list[Any] = list(checkpoint or [])
        for number in range(len(said), ctx.options.get("rounds", 1)):
            questions = [f"round {number}, {each}" for each in range(ctx.options.get("at_once", 1))]
            said.append(await asyncio.gather(*(self._ask(ctx, each) for each in questions)))
            said[-1].append(await self._ask(ctx, f"keyed {number}", key=f"key-{number}"))
            fails = Path(ctx.options.get("folder", "/nowhere")) / "fail"
            if fails.exists():
                fails.unlink()
                raise RuntimeError("after the answers, before the checkpoint")
            yield Step(list(said))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        keys = sorted(name for name in os.environ if "KEY" in name and "PAVO" in name)
        return f"{await self._ask(ctx, 'report')} {checkpoint} {keys}"


class CompletingApart(Completing):
    """The same in a process of its own."""

    name: ClassVar[str] = "completing_apart"
    isolation: ClassVar[Any] = "process"


class Wrong(Completing):
    """Makes calls that are none, each of which it is told about."""

    name: ClassVar[str] = "completing_wrongly"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        told: list[str] = []
        request = self._request(ctx, "x")
        for given, more in (
            ("no request", {}),
            ({}, {}),
            ({"messages": []}, {}),
            ({"messages": [{"role": "user", "content": "a\0b"}]}, {}),
            ({"messages": [{"role": "user", "content": object()}]}, {}),
            ({"messages": [{"role": "user", "content": "x" * 17_000_000}]}, {}),
            ({**request, "model": 7}, {}),
            (request, {"key": "no key"}),
            (request, {"endpoint": "nowhere"}),
        ):
            try:
                await ctx.complete(given, **more)  # type: ignore[arg-type]
            except PavoError as error:
                told.append(f"{type(error).__name__}: {error}")
        yield Step(told)


class WrongApart(Wrong):
    """The same in a process of its own."""

    name: ClassVar[str] = "completing_wrongly_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {each.name: each.__name__ for each in (Completing, CompletingApart, Wrong, WrongApart)}
    install_module(folder, Path(__file__), {"pavo.agents": agents})
