"""An agent that is a program, in any language: it is told its task, and says line by line what it does."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

from pavo.adapters.commands.program import Program, ProgramFailed
from pavo.adapters.commands.requests import answered
from pavo.adapters.commands.told import (
    ENDS,
    begun,
    draft_of,
    kind_of,
    members_of,
    step_of,
    text,
    told_feedback,
)
from pavo.adapters.one_step import planned, revised
from pavo.adapters.running_generator import Stopping
from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    FeedbackItem,
    Plan,
    PlanDraft,
    Revision,
    Step,
)


class CommandAgent(Agent):
    """Runs a program for each attempt. It reads and writes JSON, one object a line, on standard input and output, and
    has PAVO_GATEWAY_URL and PAVO_GATEWAY_TOKEN in its environment.

    Begun again after a crash, a question or a stop, it gets back the checkpoint that was recorded last. Which program
    runs says the class alone, never a task.

        class Crunch(CommandAgent):
            name = "crunch"
            command = ("/opt/crunch/run", "--json")
    """

    command: ClassVar[Sequence[str]] = ()
    """The program and its arguments; no shell reads them."""
    plans: ClassVar[bool] = False
    """Whether the program plans and revises too; else the plan is one step, which shows what it will be given."""
    asks_models: ClassVar[bool] = True
    """Whether it is given the gateway."""
    quiet_seconds: ClassVar[float] = 1_200.0
    """For so long it may say nothing before it counts as hung; a model's answer may take `PAVO_LLM_SECONDS`."""
    most_lines: ClassVar[int] = 1_000_000
    """So many lines it may say between two steps before it counts as flooding."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if isinstance(cls.command, str) or not all(isinstance(each, str) for each in cast(Any, cls.command)):
            raise TypeError(f"{cls.__qualname__}.command must be a tuple of texts: ('/usr/bin/program', 'argument')")
        if cls.isolation != "process":
            raise TypeError(f"{cls.__qualname__} runs a program: that takes isolation 'process', which ends with it")

    def program(self, ctx: AgentContext) -> Sequence[str]:
        """The program and its arguments, for this task; by default `command`.

        An agent that takes anything of it from `ctx` lets whoever starts tasks say what is run: take a name, and look
        up what it stands for.
        """
        return self.command

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """The program's plan, or one step, which shows what it will be given."""
        if self.plans:
            return draft_of(await self._planned("plan", ctx, begun("plan", ctx)))
        return planned(ctx, self._label(ctx))

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The program's, or the same with each comment added to what it will be given."""
        if self.plans:
            start = {**begun("revise", ctx, plan), "feedback": told_feedback(feedback)}
            said = await self._planned("revise", ctx, start)
            return Revision(draft_of(said), {each: text(members_of(said, "answers"), each) for each in _answers(said)})
        return revised(plan, feedback)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Each step of the program, and a last one with its report."""
        kept = _kept(checkpoint)
        if kept.get("ended"):
            return
        last = kept.get("checkpoint")
        async with self._running(ctx, begun("execute", ctx, plan, last)) as running:
            while (said := await self._next(running, ctx, "execute"))["type"] != "done":
                step = step_of(said)
                last = said["checkpoint"]
                yield step
                running.tell({"type": "recorded", "steps": ctx.steps, "step_key": ctx.step_key})
        report = text({"report": "", **said}, "report")
        yield Step({"checkpoint": said.get("checkpoint", last), "ended": True, "report": report})

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """What the program said at last."""
        report = _kept(checkpoint).get("report")
        return report if isinstance(report, str) and report.strip() else f"# {ctx.title}\n\n{self._label(ctx)} is done."

    async def _planned(self, work: str, ctx: AgentContext, start: Mapping[str, JSON]) -> dict[str, Any]:
        async with self._running(ctx, start) as running:
            return await self._next(running, ctx, work)

    async def _next(self, running: Program, ctx: AgentContext, work: str) -> dict[str, Any]:
        """The next line that is a step, or the end; what it asks before is answered."""
        for _ in range(self.most_lines):
            said = await running.said(self.quiet_seconds)
            kind = kind_of(said, work)
            if kind in ("step", ENDS[work]):
                return said
            if kind == "emit":
                ctx.emit(text(said, "name"), members_of(said, "data"))
            else:
                running.tell(await answered(kind, said, ctx))
        raise ProgramFailed(f"{self._label(ctx)} said {self.most_lines:,} lines and no step.")

    @asynccontextmanager
    async def _running(self, ctx: AgentContext, start: Mapping[str, JSON]) -> AsyncGenerator[Program]:
        running = await Program.start(self._checked_program(ctx), await self._environment(ctx))
        try:
            running.tell(start)
            with Stopping(ctx.cancelled, lambda: running.tell({"type": "stop"})):
                yield running
        finally:
            await running.end()

    async def _environment(self, ctx: AgentContext) -> dict[str, str]:
        """That of the agent's process, with the gateway: also by the names that clients of OpenAI's API read."""
        if not self.asks_models:
            return dict(os.environ)
        gateway = await ctx.gateway()
        url, token = gateway.base_url, gateway.token
        ours = {"PAVO_GATEWAY_URL": url, "PAVO_GATEWAY_TOKEN": token}
        return {**os.environ, **ours, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": token}

    def _checked_program(self, ctx: AgentContext) -> Sequence[str]:
        found = self.program(ctx)
        if not found:
            raise ProgramFailed(f"{type(self).__qualname__} names no program: set `command`.")
        return found

    def _label(self, ctx: AgentContext) -> str:
        return os.path.basename(self._checked_program(ctx)[0])  # noqa: PTH119 - of a name, on any system


def _kept(checkpoint: JSON) -> dict[str, Any]:
    return cast(dict[str, Any], checkpoint) if isinstance(checkpoint, dict) else {}


def _answers(said: Mapping[str, Any]) -> list[str]:
    return list(members_of(said, "answers"))
