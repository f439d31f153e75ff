"""The tools of one task, without a worker: who may call, what joins what, and what is asked once."""

import asyncio
import threading
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from typing import Annotated, Any

import pytest
import pytest_asyncio
from pydantic import AfterValidator

from pavo.agents.calling.functions import Begun, Outcome
from pavo.agents.calling.request import ToolRequest
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import ToolFailed, Unavailable
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


def looked_at(value: str) -> str:
    """What an author may write."""
    told.append(value)
    raise SystemExit(3)


def odd(text: Annotated[str, AfterValidator(looked_at)]) -> str:
    """Never run."""
    told.append("ran")
    return text


class Measureless(str):
    """A text that does not tell how long it is."""

    def __len__(self) -> int:
        raise KeyError("boom")


class Denial(ToolFailed):
    """A failure that does not tell what failed."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("detail", "remedy", "__class__"):
            raise SystemExit(3)
        return super().__getattribute__(name)


@tool(effect="read")
def strange(how: str) -> Any:
    """Answer, or fail, in a strange way."""
    told.append(how)
    if how == "denial":
        raise Denial("no\0", remedy="\ud800")
    if how == "nul":
        raise ToolFailed("a\0b", remedy="c\ud800d")
    return Measureless("fine")


NAMES = ("send", "slow", "odd", "strange")
POINTS = {name: [EntryPoint(name, f"{__name__}:{name}", "pavo.tools")] for name in NAMES}


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


async def test_a_check_of_its_own_fails_as_wrong_arguments_do(caller: Caller) -> None:
    answer = await caller.call("a", "odd", text="x")
    assert answer.error == (
        "The tool odd does not take these arguments: args.text: its own check raised SystemExit: 3."
    )
    assert told == ["x"], "it was checked more than once, or it ran"


async def test_strange_results_and_failures_are_outcomes(caller: Caller) -> None:
    assert (await caller.call("a", "strange", how="measureless")).value == "fine"
    failed = await caller.call("b", "strange", how="nul")
    assert (failed.error, failed.remedy) == ("The tool strange failed: a�b", "c?d")
    assert (await caller.call("c", "strange", how="denial")).error is not None
    await caller.take_over()
    assert (await caller.call("b", "strange", how="nul")).error == failed.error
    assert told == ["measureless", "nul", "denial"]


async def test_an_outcome_that_a_child_made_up_can_be_stored(caller: Caller) -> None:
    begun = await caller.tools.begin(ToolRequest("function/f", {}, "a", "key:a"), "unsafe")
    assert isinstance(begun, Begun)
    answer = await caller.tools.settle(begun.id, Outcome(error="a\0b\ud800", remedy="\0"))
    assert answer is not None and answer.error is not None
    await caller.take_over()
    assert (await caller.tools.begin(ToolRequest("function/f", {}, "a", "key:a"), "unsafe")).error == "a�b?"
