"""An agent made of a class that a team has already, whose work is a generator method."""

import inspect
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Literal, TypeVar, cast, final

from pavo.adapters.agents_thread import AgentsThread
from pavo.adapters.kept_state import (
    Pickled,
    Reached,
    attributes_of,
    loaded,
    pickled,
    plain_state,
    reached,
    set_attributes,
    unchanged_by_json,
)
from pavo.adapters.one_step import planned, revised
from pavo.adapters.running_generator import END, AsyncGenerator, PlainGenerator, Stopping
from pavo.adapters.yielded import events_of
from pavo.agents.calling.waiting_threads import accompanied
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
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, encode_text, plain

T = TypeVar("T")


class GeneratorAgent(Agent):
    """Runs an existing class: each item that its generator method yields is recorded, once, with the object's state.

    After a stop or a crash the object is built anew, given the state that was recorded with the last item, and the
    method is called again. So what it has done must stand in its attributes, as it must where a pickle is loaded today;
    what it did since the last recorded item it does again. A plain generator runs on a thread of its own and may block,
    an `async` one on the agent's event loop.

        class Reports(GeneratorAgent):
            name = "reports"
            wraps = ReportOrchestrator
            method = "_process_message"
    """

    wraps: ClassVar[type[Any] | None] = None
    """The class. Without one, `build` makes the object."""
    method: ClassVar[str] = "_process_message"
    """Its generator method."""
    state: ClassVar[Literal["json", "pickle"]] = "json"
    """How the object's state is kept. pickle: whatever pickles, signed with the deployment's key (PAVO_SECRET_KEY); a
    pickle that is not signed for this deployment, task, agent and class is refused before it is loaded."""
    asynchronous: ClassVar[bool | None] = None
    """Whether the method is an `async` generator; None: as it looks."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.state not in ("json", "pickle"):
            raise TypeError(f"{cls.__qualname__}.state is {cls.state!r}: use 'json' or 'pickle'")
        if cls.wraps is not None and not callable(getattr(cls.wraps, cls.method, None)):
            raise TypeError(
                f"{cls.__qualname__}.method is {cls.method!r}, which {cls.wraps.__qualname__} does not have"
            )

    # What a subclass says, where the defaults do not fit. Of a plain generator all but `step`, `events` and `stop` is
    # called on its thread.

    def build(self, ctx: AgentContext) -> Any:
        """A new object, before its state is restored; by default the class without arguments."""
        if self.wraps is None:
            raise AgentRefused(f"{type(self).__qualname__} wraps no class.", remedy="Set `wraps`, or write build().")
        return self.wraps()

    def arguments(self, ctx: AgentContext, plan: Plan) -> Sequence[Any] | Mapping[str, Any]:
        """What the method is called with, by place or by name; the same in each attempt.

        By default the prompt (without one the title), with what reviewers said: that is the text of the default plan's
        step. An agent with a `plan` of its own gets the prompt.
        """
        ours = type(self).plan is GeneratorAgent.plan and len(plan.steps) == 1
        return (plan.steps[0].detail if ours else ctx.prompt or ctx.title,)

    def step(self, item: Any, checkpoint: JSON) -> Step | None:
        """The step that an item is recorded as; it must hold this checkpoint. None: it is not recorded."""
        return Step(checkpoint, self.events(item))

    def events(self, item: Any) -> Sequence[Event]:
        """The events of an item, by default what `pavo.adapters.yielded.events_of` makes of it."""
        return events_of(item)

    def export_state(self, orchestrator: Any) -> Any:
        """The object's state: JSON, or where `state` says so whatever pickles.

        By default all of its attributes, or what its `__getstate__` answers. As JSON they are refused where they would
        come back as something else, such as a tuple as a list.
        """
        state = attributes_of(orchestrator)
        return state if self.state == "pickle" else unchanged_by_json(state)

    def restore_state(self, orchestrator: Any, state: Any) -> None:
        """The way back, into a new object."""
        set_attributes(orchestrator, state)

    def result(self, orchestrator: Any, returned: Any) -> JSON:
        """What is kept when the generator has ended, for the report; by default what it returned, where that is
        JSON."""
        try:
            return plain(returned)[0]
        except NotStorable:
            return None

    def stop(self, orchestrator: Any) -> None:
        """Somebody stops the task: called once, on the event loop, so that a long step can end early; such as by a flag
        that the object looks at. By default the step in hand goes on until its next `yield`, or `stop_grace`."""

    @final
    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """For plain generators: what a coroutine of the context answers, such as `self.wait(ctx.ask(…))`."""
        thread = accompanied()
        if thread is None:
            coroutine.close()
            raise RuntimeError("wait() works on the thread of a plain generator alone: elsewhere use `await`.")
        return thread.wait(coroutine)

    # What Pavo calls

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """A plan of one step, which shows what the method will be given."""
        return planned(ctx, self._label())

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The same, with each comment added to what the method will be given."""
        return revised(plan, feedback)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Each item of the generator as a step, and a last one with its end."""
        so_far = Reached()
        if checkpoint is not None:
            so_far = await reached(checkpoint, ctx, self.of(), pickles=self.state == "pickle")
        if so_far.ended:
            return
        orchestrated, yielded = _Orchestrated(self, ctx, plan, so_far, fresh=checkpoint is None), so_far.yielded
        async with self._running(ctx, orchestrated) as running:
            with Stopping(ctx.cancelled, orchestrated.stop) if self._hears_stops() else nullcontext():
                while (found := await running.advance()).item is not END:
                    yielded += 1
                    step = self.step(found.item, await Reached(yielded, found.state).checkpoint(ctx))
                    if step is not None:
                        yield step
            last = Reached(yielded, found.state, ended=True, result=found.result)
            yield Step(await last.checkpoint(ctx))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """The result where it is a text, else what is known of the run."""
        kept = cast(dict[str, Any], checkpoint) if isinstance(checkpoint, dict) else {}
        result = kept.get("result")
        if isinstance(result, str) and result.strip():
            return result
        lines = [f"# {ctx.title}", "", f"{self._label()} yielded {kept.get('yielded', 0)} items."]
        if result is not None:
            lines += ["", "```json", encode_text(result), "```"]
        return "\n".join(lines)

    def _running(self, ctx: AgentContext, orchestrated: "_Orchestrated") -> PlainGenerator | AsyncGenerator:
        if self._is_async():
            return AsyncGenerator(orchestrated)
        return PlainGenerator(orchestrated, AgentsThread(ctx.task_id, f"{self._label()} of task {ctx.task_id}"))

    def _is_async(self) -> bool:
        if self.asynchronous is not None or self.wraps is None:
            return bool(self.asynchronous)
        method = inspect.unwrap(getattr(self.wraps, self.method))
        return inspect.isasyncgenfunction(method) or inspect.iscoroutinefunction(method)

    def _hears_stops(self) -> bool:
        return type(self).stop is not GeneratorAgent.stop

    def _label(self) -> str:
        name = self.wraps.__qualname__ if self.wraps is not None else type(self).__qualname__
        return f"{name}.{self.method}"

    def of(self) -> str:
        """What a pickled state is of: `module:Class`."""
        of = self.wraps or type(self)
        return f"{of.__module__}:{of.__qualname__}"


class _Orchestrated:
    """An orchestrator, as its agent says what to do with it."""

    def __init__(self, agent: GeneratorAgent, ctx: AgentContext, plan: Plan, so_far: Reached, *, fresh: bool) -> None:
        self._agent, self._ctx, self._plan, self._so_far, self._fresh = agent, ctx, plan, so_far, fresh
        self._object: Any = None

    def begin(self) -> Any:
        agent, state = self._agent, self._so_far.state
        self._object = built = agent.build(self._ctx)
        if not self._fresh:
            agent.restore_state(built, loaded(state) if isinstance(state, Pickled) else state)
        given = agent.arguments(self._ctx, self._plan)
        method = getattr(built, agent.method)
        return method(**given) if isinstance(given, Mapping) else method(*given)

    def state(self) -> JSON | Pickled:
        state = self._agent.export_state(self._object)
        return pickled(state, self._agent.of()) if self._agent.state == "pickle" else plain_state(state)

    def result(self, returned: Any) -> JSON:
        return self._agent.result(self._object, returned)

    def stop(self) -> None:
        if self._object is not None:
            self._agent.stop(self._object)
