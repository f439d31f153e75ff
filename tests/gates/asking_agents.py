"""Agents that ask people, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import QuestionExpired


def note(ctx: AgentContext, what: str) -> None:
    """Tell the test what happened."""
    with Path(ctx.options["notes"]).open("a") as notes:
        notes.write(f"{what}\n")


class Asking(Agent):
    """Asks what its options say, two questions at once where they name two, and reports the answers."""

    name: ClassVar[str] = "asking"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Ask", [PlanStep("Ask")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Ask again", plan.steps), {item.id: "Heard." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        note(ctx, f"begin {checkpoint}")
        if checkpoint is None:
            yield Step({"answers": None})
        if (checkpoint or {}).get("answers") is None:
            answers = await self._answers(ctx)
            note(ctx, f"answered {answers}")
            yield Step({"answers": answers})

    async def _answers(self, ctx: AgentContext) -> dict[str, Any]:
        questions = ctx.options["questions"]
        if ctx.options.get("race"):
            return await self._first(ctx, questions)
        if ctx.options.get("one_by_one"):
            return await self._one_by_one(ctx, questions)
        async with asyncio.TaskGroup() as group:
            asked = {q["key"]: group.create_task(self._ask(ctx, q)) for q in questions}
            if seconds := ctx.options.get("beside"):
                group.create_task(self._work(ctx, seconds))
        return {key: task.result() for key, task in asked.items()}

    async def _first(self, ctx: AgentContext, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The first answer alone, and then that of another question, where there is one."""
        asked = {asyncio.ensure_future(self._ask(ctx, q)): q["key"] for q in questions}
        done, others = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        found = {asked[task]: task.result() for task in done}
        if then := ctx.options.get("then"):
            found[then["key"]] = await self._ask(ctx, then)
        return found

    async def _one_by_one(self, ctx: AgentContext, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """As frameworks do: a semaphore, and a queue of outcomes."""
        places, outcomes = asyncio.Semaphore(1), asyncio.Queue[tuple[str, Any]]()

        async def one(question: Mapping[str, Any]) -> None:
            async with places:
                await outcomes.put((question["key"], await self._ask(ctx, question)))

        async with asyncio.TaskGroup() as group:
            for question in questions:
                group.create_task(one(question))
            return dict([await outcomes.get() for _ in questions])

    async def _work(self, ctx: AgentContext, seconds: float) -> None:
        await asyncio.sleep(seconds)
        note(ctx, "worked")

    async def _ask(self, ctx: AgentContext, question: Mapping[str, Any]) -> Any:
        try:
            return await ctx.ask(**question)
        except QuestionExpired:
            return "nobody"

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{checkpoint['answers']}"


class AskingApart(Asking):
    """The same in a process of its own."""

    name: ClassVar[str] = "asking_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {"asking": "Asking", "asking_apart": "AskingApart"}
    install_module(folder, Path(__file__), {"pavo.agents": agents})
