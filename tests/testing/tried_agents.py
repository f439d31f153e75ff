"""One agent that keeps its contract, and some that break it in one way each."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class Good(Agent):
    """Pays once for each step, keyed; with `ledger`, a folder, as the outside world."""

    name: ClassVar[str] = "good"
    stop_grace: ClassVar[float] = 0.5
    wants_context: ClassVar[bool] = True
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"n": {"type": "integer", "default": 3}, "ledger": {"type": "string", "default": ""}},
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(f"Count for {ctx.user.name} {[hit.title for hit in ctx.context]}", [PlanStep("Count")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft(plan.summary, plan.steps), {item.id: "Done." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for n in range(checkpoint["n"] if checkpoint else 0, ctx.options["n"]):
            await self.work(ctx, n + 1)
            yield Step({"n": n + 1}, [Event("counted", {"n": n + 1})], total=ctx.options["n"], plan_step=1)

    async def work(self, ctx: AgentContext, n: int) -> None:
        if ctx.options["ledger"]:
            (Path(ctx.options["ledger"]) / ctx.step_key.replace("/", "-")).write_text(str(n))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"Counted to {checkpoint['n']}."


class Nameless(Good):
    name: ClassVar[Any] = None


class WrongSchema(Good):
    name: ClassVar[str] = "wrong_schema"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "thing"}


class Unfinished(Agent):
    name: ClassVar[str] = "unfinished"


class PlansNothing(Good):
    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Nothing", [])


class Unanswering(Good):
    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft(plan.summary, plan.steps), {feedback[0].id: "Done."})


class Unstorable(Good):
    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        yield Step({1, 2})


class YieldsNoStep(Good):
    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Any]:
        yield {"n": 1}


class OffThePlan(Good):
    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        yield Step(None, plan_step=2)


class ReportsNothing(Good):
    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> Any:
        return None


class Raises(Good):
    async def work(self, ctx: AgentContext, n: int) -> None:
        raise ValueError("no work today")


class Dies(Good):
    isolation: ClassVar[Any] = "process"

    async def work(self, ctx: AgentContext, n: int) -> None:
        os._exit(3)


class Endless(Good):
    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        n = 0
        while True:
            yield Step({"n": (n := n + 1)})


class Hangs(Good):
    async def work(self, ctx: AgentContext, n: int) -> None:
        await asyncio.sleep(60)


class BeginsAgain(Good):
    """Ignores its checkpoint."""

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for n in range(3):
            yield Step({"n": n + 1})


class KeepsStateInItself(Good):
    """Counts on in an attribute, which is lost with the process."""

    total = 0

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for n in range(checkpoint["n"] if checkpoint else 0, 3):
            self.total += 1
            yield Step({"n": n + 1, "total": self.total})


class PaysTwice(Good):
    """Each try leaves another receipt."""

    async def work(self, ctx: AgentContext, n: int) -> None:
        folder = Path(ctx.options["ledger"])
        (folder / f"{len(list(folder.iterdir()))}").write_text(str(n))


class Deaf(Good):
    """Watches nothing while it works."""

    stop_grace: ClassVar[float] = 0.2

    async def work(self, ctx: AgentContext, n: int) -> None:
        await asyncio.sleep(0.7)


class Listens(Good):
    """The same, watching."""

    stop_grace: ClassVar[float] = 3.0

    async def work(self, ctx: AgentContext, n: int) -> None:
        try:
            async with asyncio.timeout(0.05 if not ctx.cancelled.is_set() else 0):
                await ctx.cancelled.wait()
        except TimeoutError:
            return
        raise RuntimeError("stopped")


class HoldsOn(Good):
    """Does not let its generator be closed."""

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        try:
            async for step in super().execute(ctx, plan, checkpoint):
                yield step
        except GeneratorExit:
            await asyncio.sleep(30)
            raise
