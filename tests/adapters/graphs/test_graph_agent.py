"""A LangGraph graph through kills, in both isolations: ends of nodes are recorded once, interrupts are questions."""

import asyncio
import base64
import operator
import pickle
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict

import pytest
import pytest_asyncio
from langgraph.graph import START, StateGraph

from pavo.adapters import GraphAgent, working_for
from pavo.adapters.graphs import graph_calls
from pavo.adapters.graphs.chat_model import ChatModel
from pavo.adapters.graphs.graph_saver import TaskSaver
from pavo.agents.calling import numbering
from pavo.agents.contract import AgentContext
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.errors import AgentRefused
from pavo.testing import AgentTrial
from tests.adapters.graphs.graph_agents import Graph, install
from tests.adapters.stack import Own, stack
from tests.adapters.test_signed_pickles import PLAN, context
from tests.driving import types, until
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

LOG = "first left right red-9 so first left right red-9 so one two last"
"""What the graph's nodes have put into its state; the inner graph hands back all that it was given."""


class State(TypedDict):
    log: Annotated[list[str], operator.add]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    async with stack(parts, folder, **models) as made:
        yield made


@pytest.mark.fault
@pytest.mark.parametrize("agent", ["graph", "graph_inside"])
async def test_it_goes_on_through_kills_and_questions(
    own: Own, model_server: ModelServer, agent: str, tmp_path: Path
) -> None:
    told, script = tmp_path / "told", model_server.script({"text": "Yes."})
    for name in ("right", "two"):
        (tmp_path / f"hold-{name}").touch()
    options = {"folder": str(tmp_path), "user": script.name}
    task = await own.tasks.started(options, agent_type=agent, auto_accept=True)

    async def left_has_ended() -> bool:
        ends = [event["node"] for event in await own.tasks.events(task) if event["type"] == "node"]
        return "left" in ends and (tmp_path / "asked-right").exists()

    await until(left_has_ended, what="the end of one of two nodes, while the other has called")
    await own.kill()
    (tmp_path / "hold-right").unlink()
    gates = {gate["text"]: gate for gate in await own.gates(task, 2)}
    await own.kill()  # while people are asked
    await own.answer(gates["Why?"], "so")
    await own.answer(gates["Which color?"], "red")
    [size] = await own.gates(task, 1)
    assert size["text"] == "How large?" and size["key"] not in {gate["key"] for gate in gates.values()}
    await own.answer(size, "9")

    async def is_within() -> bool:
        return (tmp_path / "asked-two").exists()

    await until(is_within, what="the second node of the inner graph")
    await own.kill()  # in the middle of the inner graph
    (tmp_path / "hold-two").unlink()
    await own.tasks.wait(task, "DONE")
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == LOG
    events = [event["node"] for event in await own.tasks.events(task) if event["type"] == "node"]
    assert sorted(events) == sorted(
        ["first", "left", "right", "asks", "asks_too", "sub/one", "sub/two", "sub", "last"]
    ), "the end of each node is told once"
    counts = {name: told.read_text().split().count(name) for name in told.read_text().split()}
    calls = {f"looked_up-{name}": 2 for name in ("left", "right", "two")}
    least = calls | {"first": 1, "left": 1, "right": 2, "one": 1, "two": 2, "last": 1}
    # Two of the kills cut an attempt; a busy machine may cut more, which a task tells likewise.
    cut = types(await own.tasks.events(task)).count("recovered") - 2
    assert counts.keys() == least.keys() and cut >= 0
    more = {name: counts[name] - least[name] for name in least}
    assert all(0 <= each <= cut for each in more.values()), f"more than what was at work ran again: {more}"
    assert sum(more.values()) <= 2 * cut, f"two nodes at most are at work at once: {more}"
    assert 0 <= len(script.told()["requests"]) - 6 <= 2 * cut, "what models had answered was asked again"


class _Red(dict[str, Any]):
    """Answers each question alike."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        return "red"


async def test_it_keeps_the_contract(tmp_path: Path) -> None:
    trial = AgentTrial(
        Graph,
        options={"folder": str(tmp_path)},
        models=lambda _: "Yes.",
        feedback=(),
        isolation="worker",
        same=lambda outcome: outcome.report,
        answers=_Red(),
    )
    outcome = await asyncio.to_thread(trial.check)
    assert outcome.report == LOG.replace("9", "red").replace("so", "red")


def host(agent: type[GraphAgent], ctx: AgentContext) -> WorkerHost:
    return WorkerHost(agent, ctx, HostLimits())


async def refusal(agent: type[GraphAgent], ctx: AgentContext, checkpoint: Any = None) -> AgentRefused:
    opened = host(agent, ctx)
    try:
        await opened.open(PLAN, checkpoint)
        with pytest.raises(AgentRefused) as why:
            await opened.next_step()
        return why.value
    finally:
        await opened.close()


class Small(GraphAgent):
    """One node."""

    name = "small"

    def graph(self, ctx: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("only", lambda _: {"log": ["only"]})
        builder.add_edge(START, "only")
        return builder

    def input(self, ctx: Any, plan: Any) -> Any:
        return {"log": []}


class Compiled(Small):
    """Hands over what is compiled already."""

    def graph(self, ctx: Any) -> Any:
        return super().graph(ctx).compile()


class NoGraph(GraphAgent):
    """Hands over something else."""

    name = "no_graph"
    compiled = 3


async def wonders(_: State) -> dict[str, list[str]]:
    ctx = working_for()
    await ctx.call("weigh", {"what": "a wren"})
    return {"log": [str(await ctx.ask("color", "Which color?"))]}


async def thinks(_: State) -> dict[str, list[str]]:
    answer = await ChatModel().ainvoke("Well?")
    assert "reason" in str(answer.response_metadata)
    return {"log": [str(answer.content)]}


async def within(state: State) -> dict[str, list[str]]:
    """A graph that is called in a node, and another that keeps nothing."""
    builder = StateGraph(State)
    builder.add_node("wonders", wonders)
    builder.add_node("thinks", thinks)
    builder.add_edge(START, "wonders")
    builder.add_edge(START, "thinks")
    found = await builder.compile().ainvoke({"log": []})
    return {"log": [f"[{' '.join(found['log'])}]"]}


class Asking(GraphAgent):
    """Nodes beside each other ask, think, and call graphs that do."""

    name = "asking"

    def graph(self, ctx: Any) -> Any:
        builder = StateGraph(State)
        for each in (wonders, thinks, within):
            builder.add_node(each.__name__, each)
            builder.add_edge(START, each.__name__)
        return builder.compile()

    def input(self, ctx: Any, plan: Any) -> Any:
        return {"log": []}

    def result(self, values: Any) -> Any:
        return " ".join(values["log"])


async def test_nodes_ask_people_while_others_think() -> None:
    weighed: list[str] = []

    def weigh(what: str) -> str:
        """Weigh it."""
        weighed.append(what)
        return "7 g"

    asked: list[Any] = []

    def model(request: Any) -> str:
        asked.append(request)
        return "Yes."

    def begin() -> None:
        weighed.clear()
        asked.clear()

    trial = AgentTrial(
        Asking,
        models=model,
        tools={"weigh": weigh},
        feedback=(),
        isolation="worker",
        answers={"color": "red"},
        same=lambda outcome: outcome.report,
        reset=begin,
        outside=lambda: (len(weighed), len(asked)),
    )
    outcome = await asyncio.to_thread(trial.check)
    assert outcome.report == "Yes. [Yes. red] red"


class KeepsNothing(Asking):
    """Calls in a graph that is compiled without a checkpointer."""

    name = "keeps_nothing"

    def graph(self, ctx: Any) -> Any:
        inner = StateGraph(State)
        inner.add_node("thinks", thinks)
        inner.add_edge(START, "thinks")
        builder = StateGraph(State)
        builder.add_node("inner", inner.compile(checkpointer=False))
        builder.add_edge(START, "inner")
        return builder


class Slow:
    """Signs the first state only once another subgraph has a checkpoint that is not in it."""

    def __init__(self, signatures: Any) -> None:
        self._signatures, self.begun, self.overtaken = signatures, asyncio.Event(), asyncio.Event()

    async def sign(self, digest: str) -> str:
        self.begun.set()
        async with asyncio.timeout(20):
            await self.overtaken.wait()
        return await self._signatures.sign(digest)


class Beside(Small):
    """Two graphs beside each other: `late` goes on while what `early` needs is signed."""

    name = "beside"
    slow: ClassVar[Slow]
    placed: ClassVar[list[str]]

    def graph(self, ctx: Any) -> Any:
        async def waits(_: State) -> dict[str, list[str]]:
            await self.slow.begun.wait()
            return {"log": []}

        async def places(_: State) -> dict[str, list[str]]:
            name = await numbering._places.get().identity(_Call())  # pyright: ignore
            self.placed.append(name)
            return {"log": ["placed"]}

        builder = StateGraph(State)
        for name in ("early", "late"):
            inner = StateGraph(State)
            inner.add_node("places", places)
            if name == "late":
                inner.add_node("waits", waits)
                inner.add_edge("waits", "places")
            inner.add_edge(START, "waits" if name == "late" else "places")
            builder.add_node(name, inner.compile())
            builder.add_edge(START, name)
        return builder


class _Call:
    key = None

    def at(self, place: int | str, number: int) -> str:
        return f"{place}/{number}"


async def test_what_is_kept_while_a_state_is_signed_counts_as_recorded_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ctx = context(agent="beside")
    Beside.slow, Beside.placed = slow, placed = Slow(ctx.signatures), []
    returned: set[str] = set()
    too_early: list[str] = []
    put, are_recorded = TaskSaver.put, graph_calls.GraphCalls._are_recorded  # pyright: ignore

    def putting(self: Any, config: Any, *others: Any) -> Any:
        kept = put(self, config, *others)
        if slow.begun.is_set() and config["configurable"]["checkpoint_ns"].startswith("late:"):
            slow.overtaken.set()
        return kept

    async def passing(self: Any, ids: frozenset[str]) -> None:
        await are_recorded(self, ids)
        too_early.extend(ids - returned)

    monkeypatch.setattr(TaskSaver, "put", putting)
    monkeypatch.setattr(graph_calls.GraphCalls, "_are_recorded", passing)
    opened = host(Beside, replace(ctx, signatures=slow))  # pyright: ignore
    await opened.open(PLAN, None)
    while (step := await opened.next_step()) is not None:
        state = pickle.loads(base64.b64decode(step.checkpoint["pickle"]))  # pyright: ignore
        returned |= {kept[0] for _, kept in state}
    await opened.close()
    assert len(set(placed)) == 2 and slow.overtaken.is_set()
    assert not too_early, "a node called whose checkpoint no returned state holds"


async def test_a_state_that_somebody_changed_is_not_loaded() -> None:
    ctx = context(agent="small")
    opened = host(Small, ctx)
    await opened.open(PLAN, None)
    step: Any = await opened.next_step()
    await opened.close()
    other = bytearray(base64.b64decode(step.checkpoint["pickle"]))
    other[-2] ^= 1
    changed = {**step.checkpoint, "pickle": base64.b64encode(other).decode()}
    assert "has not signed" in (await refusal(Small, ctx, changed)).detail
    assert "not of" in (await refusal(Compiled, ctx, step.checkpoint)).detail, "of another class"


async def test_what_it_cannot_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_calls, "_KEPT_SECONDS", 0.2)
    ctx = replace(context(agent="small"))
    assert "keeps no checkpoints" in (await refusal(KeepsNothing, ctx)).detail
    assert "int is no graph" in (await refusal(NoGraph, ctx)).detail
    assert "has no graph" in (await refusal(GraphAgent, ctx)).detail
