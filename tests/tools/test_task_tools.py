"""The tools of one task, without a worker: who may call, what joins what, and what is asked once."""

import asyncio
import threading
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import pytest_asyncio

from pavo.agents.calling.request import ToolRequest
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import Unavailable
from pavo.gates import repository as gates
from pavo.kit.sql import Database
from pavo.tasks.work.context.asked_people import new_gate
from pavo.tasks.work.context.called_tools import TaskTools, ToolCaller
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.timeline.publish import Publisher
from pavo.tools.contract import HappenedUnknown, tool
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import ToolRegistry
from tests.tools.rows import new_attempt, new_subject

told: list[str] = []
go = threading.Event()


def send(to: str) -> str:
    """Send something, once more with each call."""
    told.append(to)
    if to == "nowhere":
        raise HappenedUnknown("the line went dead")
    assert go.wait(10)
    return f"sent to {to}"


@tool(effect="unsafe", seconds=0.2)
def slow() -> None:
    """Hang."""
    told.append("slow")
    go.wait(10)


POINTS = {name: [EntryPoint(name, f"{__name__}:{name}", "pavo.tools")] for name in ("send", "slow")}


class Caller:
    """A task that calls tools."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self.database, self._publisher = database, publisher
        self.word = OperatorsWord()

    async def begin(self) -> "Caller":
        self.subject, self.user = await new_subject(self.database)
        await self.take_over()
        return self

    async def take_over(self) -> TaskTools:
        """Another attempt's tools."""
        self.held = HeldEpoch(await new_attempt(self.database, self.subject))
        registry = ToolRegistry(POINTS)
        caller = ToolCaller(self.subject, "intern", self.held)
        self.tools = TaskTools(self.database, self._publisher, registry, caller, self.word)
        return self.tools

    async def call(self, key: str, name: str = "send", **args: Any) -> Any:
        return await self.tools.call(ToolRequest(name, args, key, f"key:{key}"))

    async def answer(self, question: Any, answer: Any) -> None:
        async with self.database.transaction() as session:
            gate, _ = await gates.open_gate(session, self.subject, new_gate(question))
            given = await gates.propose(session, gate.id, answer, "", self.user, "ada@example.com")
            assert (await gates.take(session, gate.id, given))[1]


@pytest_asyncio.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[Caller]:
    told.clear()
    go.clear()
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    yield await Caller(database, publisher).begin()
    go.set()
    await publisher.close()
    await redis.aclose()


async def test_the_same_call_at_once_is_one_and_a_cut_one_goes_on(caller: Caller) -> None:
    first = asyncio.create_task(caller.call("a", to="x"))
    second = asyncio.create_task(caller.call("a", to="x"))
    while not told:
        await asyncio.sleep(0.01)
    first.cancel()
    go.set()
    assert (await second).value == "sent to x" == (await caller.call("a", to="x")).value
    assert told == ["x"]


async def test_under_another_key_what_may_have_happened_is_asked_once(caller: Caller) -> None:
    first, second = await caller.call("a", to="nowhere"), await caller.call("b", to="nowhere")
    assert first.asks is not None and first.asks == second.asks and told == ["nowhere"]
    await caller.take_over()
    assert (await caller.call("c", to="nowhere")).asks == first.asks
    await caller.answer(first.asks, {"yes": 7})
    assert [(await caller.call(key, to="nowhere")).value for key in "abc"] == [7, 7, 7]
    assert told == ["nowhere"]
    assert (await caller.call("d", to="nowhere")).asks is not None, "once it is known, another call is another one"


async def test_an_unsafe_tool_that_hangs_is_asked_about(caller: Caller) -> None:
    answer = await caller.call("a", "slow")
    assert answer.asks is not None and answer.error is None
    await caller.take_over()
    assert (await caller.call("b", "slow")).asks == answer.asks and told == ["slow"]


async def test_an_attempt_that_was_taken_over_neither_calls_nor_settles(caller: Caller) -> None:
    old = caller.tools
    call = asyncio.create_task(caller.call("a", to="x"))
    while not told:
        await asyncio.sleep(0.01)
    await caller.take_over()
    go.set()
    with pytest.raises(Unavailable):
        await call
    with pytest.raises(Unavailable):
        await old.call(ToolRequest("send", {"to": "y"}, "b", "key:b"))
    assert told == ["x"]
    assert (await caller.call("a", to="x")).asks is not None


async def test_a_key_names_one_call(caller: Caller) -> None:
    go.set()
    await caller.call("a", to="x")
    changed = await caller.call("a", to="y")
    assert changed.refused and "key" in changed.error and told == ["x"]
