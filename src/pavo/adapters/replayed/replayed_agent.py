"""An agent whose orchestrator runs from its beginning in each attempt.

What it asked of models and tools before is answered from what was recorded, in its order, so that it comes to where it
was without anything being asked or done twice.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, cast

from pavo.adapters.one_step import planned, revised
from pavo.adapters.replayed.replay import Replay
from pavo.adapters.working import works_for
from pavo.agents.calling.functions import Effect, current_caller, runs_execute
from pavo.agents.calling.numbering import Places, name_calls_by
from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    Event,
    FeedbackItem,
    Plan,
    PlanDraft,
    Revision,
    Step,
)
from pavo.kit.json_values import encode_text

_END: Final = object()


async def _one_place() -> tuple[str, int]:
    """All calls of a run are named by the run, whichever checkpoint comes meanwhile."""
    return "run", 0


class ReplayedAgent(Agent):
    """Each answer of a model is a step, and the run's end; see the adapters of frameworks."""

    effects: ClassVar[dict[str, Effect]] = {}
    """`read` or `idempotent` by tool, for what may run again after a crash in its middle; any other is `unsafe`."""

    unrecorded: ClassVar[Sequence[str]] = ()
    """Tools that call through Pavo themselves (`working_for().call`, durable functions, `ask`): they run anew in each
    attempt, and what they call is recorded. Recorded tools cannot ask or call tools."""

    @abstractmethod
    async def run(self, ctx: AgentContext, given: str) -> JSON:
        """Run the orchestrator on what the plan says; its result, as JSON."""

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """A plan of one step, which shows what the orchestrator will be given."""
        return planned(ctx, type(self).name)

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The same, with each comment added to what it will be given."""
        return revised(plan, feedback)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Each answer of a model that is new, and the end."""
        kept: dict[str, Any] = checkpoint or {"rounds": 0}
        if "result" in kept:
            return
        rounds, recorded = 0, kept["rounds"]
        told: asyncio.Queue[Any] = asyncio.Queue()
        replay = Replay(ctx, told.put_nowait)
        running = asyncio.create_task(self._replayed(replay, plan))
        running.add_done_callback(lambda _: told.put_nowait(_END))
        try:
            while (said := await told.get()) is not _END:
                rounds += 1
                if rounds > recorded:
                    yield Step({"rounds": rounds}, [Event("round", {"round": rounds, **said})])
        finally:
            await _ended(running)
        await replay.ask()
        yield Step({"rounds": rounds, "result": _result(running, replay)})

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """The result where it is a text, else as JSON."""
        result = cast(dict[str, Any], checkpoint or {}).get("result")
        if isinstance(result, str) and result.strip():
            return result
        return "\n".join([f"# {ctx.title}", "", "```json", encode_text(result), "```"])

    async def _replayed(self, replay: Replay, plan: Plan) -> JSON:
        ctx = replay.ctx
        works_for(ctx)
        caller = current_caller()
        if caller is not None:
            runs_execute(caller.asking(ctx.people))
        name_calls_by(Places(_one_place))
        return await self.run(ctx, plan.steps[-1].detail or ctx.prompt or ctx.title)


async def _ended(running: "asyncio.Task[Any]") -> None:
    if not running.done():
        running.cancel()
    with suppress(BaseException):
        await asyncio.wait({running})


def _result(running: "asyncio.Task[Any]", replay: Replay) -> Any:
    """What the run came to; where it failed for want of Pavo's, that is the reason."""
    error = running.exception()
    if error is None:
        return running.result()
    if replay.failure is not None:
        raise replay.failure from error
    raise error
