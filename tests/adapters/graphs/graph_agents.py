"""Agents that run graphs, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from pavo import durable
from pavo.adapters import GraphAgent, working_for
from pavo.adapters.graphs.chat_model import ChatModel


class State(TypedDict):
    log: Annotated[list[str], operator.add]


@durable(effect="idempotent")
async def looked_up(folder: str, what: str) -> str:
    """What a node asks of somebody else."""
    with (Path(folder) / "told").open("a") as told:
        told.write(f"looked_up-{what}\n")
    return "found"


class Inner(TypedDict):
    log: Annotated[list[str], operator.add]


async def asks_around(folder: Path, name: str) -> None:
    """Of the model and of somebody else, twice the same."""
    model = ChatModel(parameters={"user": working_for().options.get("user", "")})
    for _ in range(2):
        await model.ainvoke("Well?")
        await looked_up(str(folder), name)


def node(folder: Path, name: str) -> Any:
    """A node that tells when it begins, and waits while a test says so."""

    async def run(state: State) -> dict[str, list[str]]:
        with (folder / "told").open("a") as told:
            told.write(f"{name}\n")
        if name in ("left", "right", "two"):
            await asks_around(folder, name)
            (folder / f"asked-{name}").touch()
        for _ in range(1500):
            if not (folder / f"hold-{name}").exists():
                break
            await asyncio.sleep(0.02)
        return {"log": [name]}

    return run


async def asks(_: State) -> dict[str, list[str]]:
    """Two questions, one after the other."""
    color = interrupt({"question": "Which color?", "choices": ["red", "blue"]})
    size = interrupt("How large?")
    return {"log": [f"{color}-{size}"]}


def asks_too(_: State) -> dict[str, list[str]]:
    """At the same time, and on a thread."""
    return {"log": [f"{interrupt('Why?')}"]}


class Graph(GraphAgent):
    """first → (left | right) → (asks | asks_too) → sub (a graph of its own: one, two) → last."""

    name: ClassVar[str] = "graph"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def input(self, ctx: Any, plan: Any) -> Any:
        return {"log": []}

    def result(self, values: Any) -> Any:
        return " ".join(values["log"])

    def graph(self, ctx: Any) -> Any:
        folder = Path(ctx.options["folder"])
        inner = StateGraph(Inner)
        inner.add_node("one", node(folder, "one"))
        inner.add_node("two", node(folder, "two"))
        inner.add_edge(START, "one")
        inner.add_edge("one", "two")
        builder = StateGraph(State)
        for name in ("first", "left", "right", "last"):
            builder.add_node(name, node(folder, name))
        builder.add_node("asks", asks)
        builder.add_node("asks_too", asks_too)
        builder.add_node("sub", inner.compile())
        builder.add_edge(START, "first")
        builder.add_edge("first", "left")
        builder.add_edge("first", "right")
        builder.add_edge(["left", "right"], "asks")
        builder.add_edge(["left", "right"], "asks_too")
        builder.add_edge(["asks", "asks_too"], "sub")
        builder.add_edge("sub", "last")
        builder.add_edge("last", END)
        return builder


class GraphInside(Graph):
    """The same in the worker."""

    name: ClassVar[str] = "graph_inside"
    isolation: ClassVar[Any] = "worker"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": {"graph": "Graph", "graph_inside": "GraphInside"}})
