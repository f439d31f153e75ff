"""Drives an agent in the calling event loop: trusted agents in the worker, and every isolated one in its child.

The imports are few on purpose: the child process pays for them at each start.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from pavo.agents.asking.question import Waits
from pavo.agents.calling.functions import runs_execute
from pavo.agents.checks import checked_plan, checked_report, checked_revision, checked_step
from pavo.agents.contract import JSON, Agent, AgentContext, FeedbackItem, Plan, PlanDraft, Revision, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.boundary import Boundary, cancelled_itself, end_cut, is_cut, runs_code
from pavo.agents.hosts.lifecycle import set_up
from pavo.agents.output import output_sink
from pavo.agents.raised import stack_of
from pavo.agents.step_keys import checkpoint_key, follow, plan_key, report_key
from pavo.errors import AgentError, AgentRefused, PavoError

logger = logging.getLogger(__name__)
T = TypeVar("T")

_FORCED_SECONDS = 0.1
"""For so long a forced close waits for the agent to end: code in the worker's own process cannot be killed."""


class WorkerHost:
    """An AgentHost in the calling event loop; see `pavo.agents.hosts.agent_host.AgentHost`."""

    def __init__(self, agent: type[Agent], ctx: AgentContext, limits: HostLimits) -> None:
        self._agent = agent
        self._boundary = Boundary(agent, ctx)
        self._ctx = self._boundary.ctx
        self._limits = limits
        self._sink = output_sink()
        """Where the agent's output goes, also when another attempt takes it over."""
        self._calls: set[asyncio.Task[Any]] = set()
        self._steps: _Steps | None = None

    async def plan(self) -> PlanDraft:
        return await self._call("plan", lambda: self._agent().plan(self._ctx), checked_plan)

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        def check(revision: Revision) -> Revision:
            return checked_revision(revision, feedback)

        follow(self._ctx, key=plan_key(self._ctx.task_id, self._ctx.edits, plan.version + 1))

        return await self._call("revise", lambda: self._agent().revise(self._ctx, plan, feedback), check)

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        if self._steps is not None:
            raise RuntimeError("This host has begun execute() already.")

        def begin() -> AsyncIterator[Step]:
            return self._agent().execute(self._ctx, plan, checkpoint)

        async def prepare() -> None:
            await set_up(self._agent, self._boundary, self._limits.setup_seconds)

        self._steps = _Steps(prepare, begin, self._boundary, self._limits.close_seconds, plan)

    async def next_step(self) -> Step | Waits | None:
        if self._steps is None:
            raise RuntimeError("Call open() before next_step().")
        return await self._steps.next()

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        follow(self._ctx, key=report_key(self._ctx.task_id, self._ctx.edits, plan.version))
        return await self._call("report", lambda: self._agent().report(self._ctx, plan, checkpoint), checked_report)

    def is_open(self) -> bool:
        return self._steps is not None and self._steps.is_open()

    def cancel(self) -> None:
        self._ctx.cancelled.set()

    def stack(self) -> str:
        """Where the agent waits in `execute`, with the tasks that it has running."""
        root, generator = (self._steps.task, self._steps.iterator) if self._steps is not None else (None, None)
        others = [each.get_coro() for each in self._boundary.tasks() if each is not root]
        return f"The agent waits here:\n{stack_of(generator, others)}"

    async def tell_stack(self) -> None:
        if self._sink is not None:
            self._sink(f"{self.stack()}\n")

    async def close(self, *, force: bool = False) -> None:
        seconds = _FORCED_SECONDS if force else self._limits.close_seconds
        if self._steps is not None:
            await self._steps.close(seconds)
        for call in list(self._calls):
            await end_cut(call, seconds)

    async def _call(self, method: str, call: Callable[[], Awaitable[T]], check: Callable[[T], T]) -> T:
        """Run one of the agent's coroutines in a task of its own, so that an agent that holds on can be left behind.

        What it returned is looked at behind the same boundary: its attributes may be code.
        """

        async def checked() -> T:
            return check(await _awaited(call(), method))

        async def prepared() -> T:
            await set_up(self._agent, self._boundary, self._limits.setup_seconds)
            runs_code(self._boundary.code)
            return await self._boundary.run(checked, method)

        task = asyncio.create_task(prepared())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await end_cut(task, self._limits.close_seconds)
            raise
        if task.cancelled():
            raise _was_cut(method) if is_cut(task) else cancelled_itself()
        return task.result()


class _Steps:
    """Runs the agent's generator in one task for its whole life.

    So time-outs, task groups and context variables may span a `yield`, and the generator is closed in the task in which
    it ran.
    """

    def __init__(
        self,
        prepare: Callable[[], Awaitable[None]],
        begin: Callable[[], AsyncIterator[Step]],
        boundary: Boundary,
        close_seconds: float,
        plan: Plan,
    ) -> None:
        self._prepare = prepare
        self._begin = begin
        self._boundary = boundary
        self._plan = plan
        self._recorded = boundary.ctx.steps
        """How many checkpoints there are when the next one is asked for."""
        self._close_seconds = close_seconds
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[Step | Waits | None] | None = None
        self.task: asyncio.Task[None] | None = None
        """The one that runs the generator."""
        self.iterator: AsyncIterator[Step] | None = None
        self._ended = False
        self._failure: PavoError | None = None

    async def next(self) -> Step | Waits | None:
        if self._answer is not None and not self._answer.done():
            raise RuntimeError("A step is in flight already.")
        if self._ended:
            return None
        if self.task is None:
            self.task = asyncio.create_task(self._drive())
        elif self._failure is not None or self.task.done():
            raise self._failure or _was_cut("execute")
        self._answer = asyncio.get_running_loop().create_future()
        self._asked.set()
        try:
            return await self._answer
        except asyncio.CancelledError:
            await end_cut(self.task, self._close_seconds)
            raise

    def is_open(self) -> bool:
        return self.task is not None and not self.task.done() and not self._ended and self._failure is None

    async def close(self, seconds: float) -> None:
        if self.task is not None:
            await end_cut(self.task, seconds)

    async def _drive(self) -> None:
        try:
            await self._asked.wait()
            await self._prepare()
            runs_code(self._boundary.code)
            self._boundary.on_waits = self._settle
            runs_execute(self._boundary.caller)
            self._boundary.waiting.begin()
            self.iterator = iterator = await self._boundary.run(self._iterator, "execute")
            self._boundary.waiting.drives(iterator)
            while True:
                self._asked.clear()
                self._follow()
                step = await self._boundary.run(lambda: _one(iterator, len(self._plan.steps)), "execute")
                self._ended = step is None
                self._recorded += 1
                self._settle(step)
                if step is None or is_cut(asyncio.current_task()):
                    return
                await self._asked.wait()
        except PavoError as error:
            self._failure = error
        except asyncio.CancelledError:
            if is_cut(asyncio.current_task()):
                raise
            # The agent asked for it within a step that it ended all the same: it came after the answer.
            self._failure = cancelled_itself()
        finally:
            self._failure = self._failure or _was_cut("execute")
            self._settle(self._failure)
            self._boundary.waiting.end()
            self._boundary.on_waits = None
            if self.iterator is not None:
                await self._boundary.close(self.iterator)

    def _follow(self) -> None:
        """What was answered before is recorded: else nobody would ask for more."""
        ctx, number = self._boundary.ctx, self._recorded + 1
        follow(ctx, key=checkpoint_key(ctx.task_id, ctx.edits, self._plan.version, number), steps=self._recorded)

    async def _iterator(self) -> AsyncIterator[Step]:
        iterator: object = self._begin()
        if isinstance(iterator, Coroutine):
            cast(Coroutine[Any, Any, Any], iterator).close()
        if not hasattr(iterator, "__anext__"):
            raise AgentRefused(
                f"execute() returned {type(cast(object, iterator)).__name__}, not an async iterator. "
                "Write it as `async def` with `yield`, one for each step."
            )
        return cast(AsyncIterator[Step], iterator)

    def _settle(self, outcome: Step | Waits | PavoError | None) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        if isinstance(outcome, PavoError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def _was_cut(method: str) -> AgentError:
    return AgentError(f"{method}() was cut: open another host.")


async def _one(iterator: AsyncIterator[Step], plan_steps: int) -> Step | None:
    try:
        step = await anext(iterator)
    except StopAsyncIteration:
        return None
    return checked_step(step, plan_steps)


async def _awaited(result: Awaitable[T], name: str) -> T:
    if not isinstance(cast(object, result), Awaitable):
        raise AgentRefused(f"{name}() returned {type(result).__name__} at once. Write it as `async def`.")
    return await result
