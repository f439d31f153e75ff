"""What a node of a graph calls, and whom it asks.

A call of a node's is named by its task in the graph, which the framework names by the checkpoint before it. So before
the first call of a super-step that checkpoint is recorded: then every attempt finds the same names. Questions of a node
leave the graph, as its own interrupts do, once all others of the super-step have ended.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import get_runtime

from pavo.adapters.graphs.graph_saver import TaskSaver
from pavo.adapters.working import works_for
from pavo.agents.asking.question import Answered, People, Question
from pavo.agents.calling.functions import current_caller, runs_execute
from pavo.agents.calling.numbering import Places, name_calls_by
from pavo.agents.contract import AgentContext
from pavo.errors import AgentRefused

POKE: Final = "pavo: record"
"""Written to the graph's stream so that the coroutine that reads it looks what is to be recorded."""
_KEPT_SECONDS: Final = 10.0
"""For so long a call waits for its checkpoint to be handed to the saver, which happens at once where it happens."""


class NodeAsks(GraphBubbleUp):
    """A node asks people: what else is at work in the super-step ends first."""


class _NodesPeople:
    """Whom nodes ask."""

    def __init__(self, people: People, questions: list[Question]) -> None:
        self._people, self._questions = people, questions

    async def find(self, question: Question) -> Answered | None:
        return await self._people.find(question)

    async def wait(self, question: Question) -> Answered:
        self._questions.append(question)
        raise NodeAsks(question.text)


class GraphCalls:
    """The calls of a graph's nodes in one attempt."""

    def __init__(self, ctx: AgentContext, saver: TaskSaver) -> None:
        self._ctx, self._saver = ctx, saver
        self._recorded = saver.exported
        self._news = asyncio.Event()
        self._questions: list[Question] = []
        saver.told = self._tell

    def begin(self) -> None:
        """From here on the current task runs the graph."""
        people = _NodesPeople(self._ctx.people, self._questions)
        works_for(replace(self._ctx, people=people))
        caller = current_caller()
        if caller is not None:
            runs_execute(caller.asking(people))
        name_calls_by(Places(self._where))

    @contextmanager
    def recording(self) -> Generator[None]:
        """Around a `yield` of what the saver has exported: it is recorded once that returns."""
        ids = self._saver.exported
        yield
        self._recorded = ids
        self._tell()

    async def ask(self) -> None:
        """Wait for what nodes asked: the attempt ends meanwhile."""
        questions, self._questions = self._questions, []
        await asyncio.gather(*(self._ctx.people.wait(each) for each in questions))

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _where(self) -> tuple[str, int] | None:
        try:
            configurable: Any = get_config().get("configurable", {})
        except RuntimeError:
            return None  # in no node
        namespace = configurable.get("checkpoint_ns")
        if not namespace:
            return None
        await self._are_recorded(frozenset(configurable.get("checkpoint_map", {}).values()))
        runtime: Any = get_runtime()
        return f"graph:{hashlib.sha256(namespace.encode()).hexdigest()[:32]}", _tries(runtime)

    async def _are_recorded(self, ids: frozenset[str]) -> None:
        """Wait until the checkpoints on which a node rests are recorded."""
        await self._until(lambda: ids <= self._saver.ids() or ids <= self._recorded, _KEPT_SECONDS)
        while not ids <= self._recorded:
            news = self._news
            get_runtime().stream_writer(POKE)
            await news.wait()

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._news.wait()
        except TimeoutError:
            raise AgentRefused(
                "A graph within the graph keeps no checkpoints, so that its calls cannot be told from each other.",
                remedy="Compile it without checkpointer=False, or call in a node of the graph around it.",
            ) from None


def _tries(runtime: Any) -> int:
    """How often the framework itself has tried the node: a further try makes the same calls."""
    info = getattr(runtime, "execution_info", None)
    return int(getattr(info, "node_attempt", 1))
