"""An agent made of a LangGraph graph: its super-steps are recorded, its interrupts are questions to people."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any, ClassVar, Final, cast

from pavo.adapters.kept_state import Pickled, Reached, loaded, pickled, reached
from pavo.adapters.one_step import planned, revised
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
from pavo.kit.extras import needing
from pavo.kit.json_values import NotStorable, encode_text, plain

_HIDDEN: Final = ("__interrupt__", "__metadata__")


class GraphAgent(Agent):
    """Runs a LangGraph graph: what each of its nodes has written is recorded once, with the graph's state.

    After a stop or a crash the graph goes on where it was: no node whose end was recorded runs again, one that was at
    work does. `interrupt(…)` in a node asks people; while they are asked there is no process, and what other nodes of
    the same super-step ask is asked with it. The state is signed with the deployment's key (PAVO_SECRET_KEY), for it
    holds whatever the framework's serializer makes of it; one that is not signed for this deployment, task, agent and
    class is refused before it is loaded. Of a super-step that was cut, the event of a node's end may be lacking.

        class Research(GraphAgent):
            name = "research"
            compiled = graph

    In `async` nodes `working_for()` is the agent's context: what they call by it, by durable functions and by
    `ChatModel` is recorded, under the name of the node's task, so that of nodes at work beside each other none makes a
    call of its own twice.
    """

    compiled: ClassVar[Any] = None
    """The graph, as its builder's `compile()` answered it, or the builder. Without one, `graph` makes it."""
    recursion_limit: ClassVar[int] = 10_000
    """Super-steps of one attempt at most."""

    def graph(self, ctx: AgentContext) -> Any:
        """The graph, compiled or not; the same in each attempt. A checkpointer of its own is not used."""
        if self.compiled is None:
            raise AgentRefused(f"{type(self).__qualname__} has no graph.", remedy="Set `compiled`, or write graph().")
        return self.compiled

    def input(self, ctx: AgentContext, plan: Plan) -> Any:
        """What the graph begins with; by default one message of the user's, the text of the plan's last step."""
        return {"messages": [{"role": "user", "content": plan.steps[-1].detail or ctx.prompt or ctx.title}]}

    def events(self, node: str, written: Any) -> Sequence[Event]:
        """The events of a node's end; by default one that names it, a subgraph's as `outer/inner`."""
        return [Event("node", {"node": node})]

    def question(self, value: Any) -> tuple[str, Mapping[str, Any]]:
        """The text of an interrupt's question and further arguments of `ctx.ask`.

        By default a text, or of a mapping its `question` with its `choices`, `schema` and `default`; anything else as
        JSON.
        """
        if isinstance(value, str):
            return value, {}
        given: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
        if isinstance(given.get("question"), str):
            return given["question"], {name: given[name] for name in ("choices", "schema", "default") if name in given}
        try:
            return encode_text(plain(value)[0]), {}
        except NotStorable:
            return str(cast(object, value)), {}

    def result(self, values: Any) -> JSON:
        """What is kept of the graph's last state, for the report: by default the text of its last message, else what
        of it is JSON."""
        messages: Any = cast(Mapping[str, Any], values).get("messages") if isinstance(values, Mapping) else None
        last = getattr(messages[-1], "content", None) if messages else None
        if isinstance(last, str):
            return last
        try:
            return plain(values)[0]
        except NotStorable:
            return None

    # What Pavo calls

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """A plan of one step, which shows what the graph will be given."""
        return planned(ctx, "the graph")

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The same, with each comment added to what the graph will be given."""
        return revised(plan, feedback)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Each end of a node as a step, and a last one with the graph's end."""
        so_far = Reached()
        if checkpoint is not None:
            so_far = await reached(checkpoint, ctx, self.of(), pickles=True)
        if so_far.ended:
            return
        with needing("A graph"):
            running = _Running(self, ctx, plan, so_far)
        while (given := await running.given()) is not _ENDED:
            async with aclosing(running.stream(given)) as updates:
                async for events in updates:
                    checkpoint = await running.checkpoint()
                    with running.recording():
                        yield Step(checkpoint, events)
        yield Step(await running.checkpoint(ended=True))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """The result where it is a text, else as JSON."""
        kept = cast(dict[str, Any], checkpoint) if isinstance(checkpoint, dict) else {}
        result = kept.get("result")
        if isinstance(result, str) and result.strip():
            return result
        return "\n".join([f"# {ctx.title}", "", "```json", encode_text(result), "```"])

    def of(self) -> str:
        """What a kept state is of: `module:Class`."""
        return f"{type(self).__module__}:{type(self).__qualname__}"


_ENDED: Final = object()


class _Running:
    """A graph in one attempt."""

    def __init__(self, agent: GraphAgent, ctx: AgentContext, plan: Plan, so_far: Reached) -> None:
        from pavo.adapters.graphs.graph_calls import GraphCalls
        from pavo.adapters.graphs.graph_saver import TaskSaver

        self._agent, self._ctx, self._plan = agent, ctx, plan
        self._saver = TaskSaver(loaded(so_far.state) if isinstance(so_far.state, Pickled) else ())
        self._calls = GraphCalls(ctx, self._saver)
        self._graph = _compiled(agent.graph(ctx), self._saver)
        thread = {"thread_id": str(ctx.task_id)}
        self._config: Any = {"configurable": thread, "recursion_limit": agent.recursion_limit}
        self._ends = so_far.yielded
        self._values: Any = None
        self._went_on = False

    async def given(self) -> Any:
        """What the graph is to go on with: its input, None, people's answers; _ENDED: it is at its end."""
        from langgraph.types import Command

        state: Any = await self._graph.aget_state(self._config)
        if not state.config["configurable"].get("checkpoint_id"):
            return self._agent.input(self._ctx, self._plan)
        if state.interrupts:
            answers = await asyncio.gather(*(self._asked(each) for each in state.interrupts))
            return Command(resume={each.id: answer for each, answer in zip(state.interrupts, answers, strict=True)})
        self._values = state.values
        # Of a step whose nodes have all written and which is not over, `next` says nothing: the graph itself knows.
        return None if state.next or not self._went_on else _ENDED

    async def _asked(self, interrupt: Any) -> Any:
        text, others = self._agent.question(interrupt.value)
        return await self._ctx.ask(f"interrupt-{interrupt.id}", text, **others)

    async def stream(self, given: Any) -> AsyncGenerator[list[Event]]:
        """Whenever something is to be recorded: the events of what has ended."""
        from pavo.adapters.graphs.graph_calls import NodeAsks

        self._went_on = True
        self._calls.begin()
        events: list[Event] = []
        modes: Any = {"stream_mode": ["updates", "custom"], "subgraphs": True, "durability": "async"}
        asked = False
        try:
            async with aclosing(self._graph.astream(given, self._config, **modes)) as updates:
                async for within, mode, update in updates:
                    if mode == "updates" and not update.get("__metadata__", {}).get("cached"):  # of an earlier attempt
                        events += self._events([each.partition(":")[0] for each in within], update)
                    if self._saver.changed:
                        yield events
                        events = []
        except NodeAsks:
            asked = True
        if self._saver.changed or events:
            yield events
        if asked:
            await self._calls.ask()

    def recording(self) -> AbstractContextManager[None]:
        """Around the `yield` of a checkpoint."""
        return self._calls.recording()

    def _events(self, within: Sequence[str], update: Mapping[str, Any]) -> list[Event]:
        found: list[Event] = []
        for node, written in update.items():
            if node not in _HIDDEN:
                self._ends += 1
                found += self._agent.events("/".join([*within, node]), written)
        return found

    async def checkpoint(self, *, ended: bool = False) -> dict[str, JSON]:
        """What is recorded."""
        state = pickled(self._saver.export(), self._agent.of())
        result = self._agent.result(self._values) if ended else None
        return await Reached(self._ends, state, ended=ended, result=result).checkpoint(self._ctx)


def _compiled(graph: Any, saver: Any) -> Any:
    if callable(getattr(graph, "compile", None)):
        graph = graph.compile(checkpointer=saver)
    elif callable(getattr(graph, "astream", None)) and callable(getattr(graph, "copy", None)):
        graph = graph.copy(update={"checkpointer": saver})
    else:
        told = f"{type(graph).__name__} is no graph."
        raise AgentRefused(told, remedy="Give what StateGraph(…).compile() answers.")
    delta = [name for name, channel in graph.channels.items() if type(channel).__name__ == "DeltaChannel"]
    if delta:
        told = f"The graph keeps {', '.join(map(str, delta))} as differences, which need all checkpoints of before."
        raise AgentRefused(told, remedy="Use channels that hold their whole value.")
    return graph
