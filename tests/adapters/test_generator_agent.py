"""`GeneratorAgent` without a stack: its contract in both isolations, and classes that do odd things."""

import asyncio
import contextlib
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from pavo.adapters import GeneratorAgent, agents_thread
from pavo.adapters.yielded import events_of
from pavo.agents.contract import AgentContext, Event, Plan, PlanStep, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.output import send_output_to
from pavo.errors import AgentError, AgentRefused
from pavo.testing import AgentTrial
from tests.adapters.old_orchestrators import Asks, Chats, Counters, Reports

pytest_plugins = ["pavo.testing.pytest_plugin"]
Trials = Callable[..., AgentTrial]
PLAN = Plan(1, "h", "S", (PlanStep("Run", "a b"),))
LIMITS = HostLimits(close_seconds=2.0)


def same(outcome: Any) -> Any:
    """All but pickles: they hold moments."""
    events = [(event.type, dict(event.data)) for step in outcome.steps for event in step.events]
    return events, outcome.report, [step.checkpoint["yielded"] for step in outcome.steps]


def test_a_class_with_a_pickle_keeps_the_contract(agent_trial: Trials) -> None:
    outcome = agent_trial(Reports, prompt="alpha beta", same=same).check()
    said = ["alpha", "beta", "Say", "more.", "Say", "less", "here."]
    assert outcome.plan.steps[0].title == "Run ReportOrchestrator._process_message"
    told = [(event.type, event.data.get("name")) for step in outcome.steps for event in step.events]
    names = list(dict.fromkeys(said))
    assert told[0] == ("status", None) and [name for _, name in told[1:]] == said
    assert outcome.report == "DONE: " + " ".join(name.title() for name in names)
    assert outcome.checkpoints[-1]["ended"] is True and "pickle" in outcome.checkpoints[0]


def test_an_async_one_with_json_keeps_it(agent_trial: Trials) -> None:
    outcome = agent_trial(Chats, prompt="one two three", feedback=()).check(every=2)
    assert [step.checkpoint["state"]["history"] for step in outcome.steps[:3]] == [
        ["one"],
        ["one", "two"],
        ["one", "two", "three"],
    ]
    assert outcome.steps[1].events == (Event("output", {"text": "two"}),)
    assert "Chat.respond yielded 3 items" in outcome.report


def test_what_a_plain_one_returns_is_kept(agent_trial: Trials) -> None:
    outcome = agent_trial(Counters, prompt="p", feedback=()).check(every=2)
    assert len(outcome.steps) == 5, "four items and the end"
    assert outcome.checkpoints[-1] == {
        "yielded": 4,
        "state": {"n": 4},
        "ended": True,
        "result": {"sum": 4, "of": "p"},
    }
    assert '{"sum":4,"of":"p"}' in outcome.report


def test_a_question_from_the_thread_ends_the_attempt(agent_trial: Trials) -> None:
    outcome = agent_trial(Asks, prompt="the car", feedback=(), answers={"color": "blue"}).check(every=2)
    assert [event.data["text"] for step in outcome.steps for event in step.events] == ["before", "it is blue"]


def context(**more: Any) -> AgentContext:
    made = AgentContext(uuid.uuid4(), uuid.uuid4(), "T", "P", {}, corpus=None)  # pyright: ignore[reportArgumentType]
    return replace(made, **more)


@contextlib.asynccontextmanager
async def opened(agent: type[GeneratorAgent], ctx: AgentContext, checkpoint: Any = None) -> AsyncIterator[WorkerHost]:
    host = WorkerHost(agent, ctx, LIMITS)
    await host.open(PLAN, checkpoint)
    try:
        yield host
    finally:
        await host.close()


class Odd:
    """Does what `how` says."""

    release = threading.Event()
    closed: ClassVar[list[str]] = []
    seen: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.n = 0

    def run(self, how: str) -> Iterator[Any]:
        return getattr(self, how.replace(" ", "_"))()

    def raises(self) -> Iterator[Any]:
        yield 1
        raise ValueError("no luck")

    def exits(self) -> Iterator[Any]:
        yield 1
        sys.exit(3)

    def exits_as_closed(self) -> Iterator[Any]:
        yield 1
        raise GeneratorExit

    def cancels(self) -> Iterator[Any]:
        yield 1
        raise asyncio.CancelledError

    def never(self) -> Iterator[Any]:
        self.release.wait(20)
        yield 1

    def holds_on(self) -> Iterator[Any]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    def cleans_up(self) -> Iterator[Any]:
        try:
            yield threading.current_thread().name
        finally:
            self.closed.append(threading.current_thread().name)

    def holds(self, value: Any, item: Any = 1) -> Iterator[Any]:
        self.n = value
        yield item

    def a_set(self) -> Iterator[Any]:
        return self.holds({1})

    def a_tuple(self) -> Iterator[Any]:
        return self.holds({"deep": [(1, 2)]})

    def bytes(self) -> Iterator[Any]:
        return self.holds(1, b"x")

    def large(self) -> Iterator[Any]:
        return self.holds("x" * 1_100_000)

    def nothing(self) -> Iterator[Any]:
        yield from ()

    def none(self) -> None:
        """No generator."""

    async def coroutine(self) -> None:
        """No generator either."""

    def well(self) -> Iterator[Any]:
        self.seen.append(1)
        yield 1


def odd(how: str, **members: Any) -> type[GeneratorAgent]:
    def arguments(self: Any, ctx: Any, plan: Any) -> Any:
        return [how]

    members = {"name": "odd", "wraps": Odd, "method": "run", "arguments": arguments, **members}
    return type("OddAgent", (GeneratorAgent,), members)


@pytest.mark.parametrize(
    ("how", "told", "again"),
    [
        ("raises", "ValueError: no luck", True),
        ("exits", "CodeFailed: SystemExit: 3", True),
        ("exits as closed", "CodeFailed: GeneratorExit", True),
        ("cancels", "CodeFailed: CancelledError", True),
        ("a set", "attribute n is no JSON", False),
        ("a tuple", "attribute n holds what JSON would give back as something else", False),
        ("bytes", "it holds a value of the type bytes", False),
        ("large", "The checkpoint has 1,1", False),
        ("none", "answered NoneType, which yields nothing", False),
        ("coroutine", "Say asynchronous = True", False),
    ],
)
async def test_what_cannot_be_is_told(how: str, told: str, again: bool) -> None:
    async with opened(odd(how), context()) as host:
        with pytest.raises(AgentError) as failed:
            while await host.next_step() is not None:
                pass
    assert told in f"{failed.value.detail} {failed.value.remedy}"
    assert isinstance(failed.value, AgentRefused) is not again


async def test_one_that_yields_nothing_ends() -> None:
    async with opened(odd("nothing"), context()) as host:
        step = await host.next_step()
        assert isinstance(step, Step) and step.checkpoint["ended"] and step.checkpoint["yielded"] == 0
        assert await host.next_step() is None
    async with opened(odd("nothing"), context(), step.checkpoint) as host:
        assert await host.next_step() is None, "what has ended is not called again"


async def test_one_that_never_yields_holds_up_nobody_and_is_not_run_twice_at_once() -> None:
    Odd.release.clear()
    ctx, printed = context(), []
    send_output_to(printed.append)
    host = WorkerHost(odd("never"), ctx, LIMITS)
    await host.open(PLAN, None)
    step = asyncio.create_task(host.next_step())
    begun, turns = time.monotonic(), 0
    while time.monotonic() - begun < 0.3:
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 10 and not step.done()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await host.close()
    assert any(thread.name.startswith("Odd.run of task") for thread in threading.enumerate()), "it cannot be killed"
    other = WorkerHost(odd("well"), ctx, LIMITS)
    await other.open(PLAN, None)
    Odd.seen.clear()
    waits = asyncio.create_task(other.next_step())
    await asyncio.sleep(0.2)
    assert not waits.done() and not Odd.seen, "a second one at once"
    Odd.release.set()
    assert await asyncio.wait_for(waits, 10) is not None and Odd.seen == [1]
    await other.close()


async def test_an_earlier_call_that_hangs_fails_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_thread, "LEFT_SECONDS", 0.2)
    Odd.release.clear()
    ctx = context()
    host = WorkerHost(odd("never"), ctx, LIMITS)
    await host.open(PLAN, None)
    step = asyncio.create_task(host.next_step())
    await asyncio.sleep(0.05)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await host.close()
    async with opened(odd("well"), ctx) as other:
        with pytest.raises(AgentError, match="an earlier attempt's call still runs"):
            await other.next_step()
    Odd.release.set()


async def test_closing_runs_its_finally_on_its_thread() -> None:
    Odd.closed.clear()
    async with opened(odd("cleans up"), context()) as host:
        step = await host.next_step()
        assert isinstance(step, Step)
    assert Odd.closed == [step.events[0].data["text"]]


async def test_one_that_ignores_its_end_is_told_and_ended() -> None:
    begun = time.monotonic()
    async with opened(odd("holds on"), context()) as host:
        await host.next_step()
    assert time.monotonic() - begun < 1.5
    assert not any(thread.name.startswith("Odd.run") for thread in threading.enumerate())


async def test_a_stop_reaches_the_object() -> None:
    heard = asyncio.Event()
    agent = odd("never", stop=lambda self, orchestrator: (Odd.release.set(), heard.set()))
    Odd.release.clear()
    ctx = context()
    async with opened(agent, ctx) as host:
        step = asyncio.create_task(host.next_step())
        await asyncio.sleep(0.05)
        host.cancel()
        assert await asyncio.wait_for(step, 5) is not None and heard.is_set()


@pytest.mark.parametrize(
    ("item", "events"),
    [
        (None, []),
        ("text", [Event("output", {"text": "text"})]),
        (7, [Event("output", {"value": 7})]),
        ({"type": "section", "n": 1}, [Event("section", {"n": 1})]),
        ({"type": "progress", "n": 1}, [Event("output.progress", {"n": 1})]),
        ({"type": "x", "seq": 1}, [Event("x", {"item": {"seq": 1}})]),
        ({"type": "no type!", "n": 1}, [Event("output", {"item": {"type": "no type!", "n": 1}})]),
        ({"n": 1}, [Event("output", {"n": 1})]),
        (Event("own"), [Event("own")]),
        ([Event("a"), Event("b")], [Event("a"), Event("b")]),
        ([1], [Event("output", {"value": [1]})]),
    ],
)
def test_items_as_events(item: Any, events: list[Event]) -> None:
    assert events_of(item) == events


def test_a_class_that_cannot_be_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"method is 'walk', which Odd does not have"):
        type("A", (GeneratorAgent,), {"wraps": Odd, "method": "walk"})
    with pytest.raises(TypeError, match="use 'json' or 'pickle'"):
        type("A", (GeneratorAgent,), {"state": "yaml"})


@pytest.mark.parametrize("checkpoint", [7, {}, {"yielded": "1", "state": {}}, {"yielded": 1}, {"n": 3}])
async def test_another_agents_checkpoint_is_refused(checkpoint: Any) -> None:
    async with opened(odd("well"), context(), checkpoint) as host:
        with pytest.raises(AgentRefused, match="not one of an orchestrator"):
            await host.next_step()
