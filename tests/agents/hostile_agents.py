"""Agents that raise, return and yield whatever Python allows; importable by a child process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, NoReturn

from sample_agents import Sample

from pavo.agents.contract import JSON, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.errors import AgentRefused, Unavailable


class Panic(BaseException):
    """As extensions written in Rust raise it."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("not even its message")


class Meta(type):
    @property
    def __name__(cls) -> str:
        raise Panic("not even its name")


class Nameless(Exception, metaclass=Meta):
    """Does not tell what it is."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise Panic("not even its class")


class Mute(AgentRefused):
    def __init__(self) -> None:
        """Without the attributes of its base."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def _deep(n: int = 0) -> int:
    return _deep(n + 1) + 1


async def _in_a_task(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


async def _cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(3600)


async def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(3600)


async def _cancel_itself_and_return() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _interrupted() -> None:
    signal.raise_signal(signal.SIGINT)


async def _closed() -> None:
    for number in (0, 1, 2):
        os.close(number)
    raise Panic("in the dark")


async def _shut() -> None:
    sys.stdout.close()
    sys.stderr.close()
    raise Panic("in the dark")


def _raising(make: Callable[[], BaseException]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        raise make()

    return run


async def _recursion() -> None:
    _deep()


RAISED: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "panic": _raising(lambda: Panic("of an extension")),
    "interrupt": _raising(lambda: KeyboardInterrupt("own")),
    "exit": _raising(lambda: SystemExit(3)),
    "generator exit": _raising(lambda: GeneratorExit("own")),
    "cancelled": _raising(lambda: asyncio.CancelledError("own")),
    "cancels itself": _cancel_itself,
    "cancels all": _cancel_all,
    "recursion": _recursion,
    "unspeakable": _raising(Unspeakable),
    "stop iteration": _raising(StopIteration),
    "stop async iteration": _raising(StopAsyncIteration),
    "panics": _raising(lambda: BaseExceptionGroup("two", [Panic("one"), KeyboardInterrupt()])),
    "unavailable": _raising(lambda: Unavailable("A model is away.", dependency="model")),
    "odd unavailable": _raising(lambda: Unavailable(Panic, dependency=Panic)),  # type: ignore[arg-type]
    "odd refusal": _raising(lambda: AgentRefused(Panic, field=Panic, remedy=Unspeakable())),  # type: ignore[arg-type]
    "long refusal": _raising(lambda: AgentRefused("x" * 10_000_000, remedy="y\0" * 10_000_000)),
    "nameless": _raising(Nameless),
    "mute refusal": _raising(Mute),
    "exit in a task": lambda: _in_a_task(SystemExit(3)),
    "interrupt in a task": lambda: _in_a_task(KeyboardInterrupt()),
    "panic in a task": lambda: _in_a_task(Panic("deep")),
}
"""What an agent raises, by `options["what"]`."""
APART = {"interrupted": _interrupted, "closed": _closed, "shut": _shut}
"""What only the agent's own process can bear."""


class HostileText(str):
    def encode(self, *_: Any, **__: Any) -> bytes:
        raise KeyboardInterrupt("in encode")


class HostileDraft(PlanDraft):
    def __getattribute__(self, name: str) -> Any:
        raise Panic(f"in {name}")


class HostileRevision(Revision):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(f"in {name}")


class HostileEvents(list[Event]):
    def __len__(self) -> int:
        raise GeneratorExit("in len")


RETURNED: dict[str, dict[str, Callable[[], Any]]] = {
    "plan": {"object": object, "attributes": lambda: object.__new__(HostileDraft)},
    "revise": {"object": object, "attributes": lambda: object.__new__(HostileRevision)},
    "execute": {"object": object, "attributes": lambda: Step(1, HostileEvents())},
    "report": {"object": object, "attributes": lambda: HostileText("x")},
}
"""What an agent returns or yields, by method and `options["what"]`."""


class Hostile(Sample):
    """Does `options["what"]` in the method `options["where"]`."""

    name = "hostile"

    async def _act(self, ctx: AgentContext, where: str) -> Any:
        what = ctx.options["what"]
        if ctx.options["where"] != where:
            return None
        if what in RETURNED[where]:
            return RETURNED[where][what]()
        return await {**RAISED, **APART}[what]()

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return await self._act(ctx, "plan") or PlanDraft("A plan", [PlanStep("one")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return await self._act(ctx, "revise") or await super().revise(ctx, plan, feedback)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step(0)
        yield await self._act(ctx, "execute") or Step(1)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        return await self._act(ctx, "report") or "Done."


class AtOnce(Sample):
    """Raises before there is anything to await."""

    name = "at_once"

    def plan(self, ctx: AgentContext) -> Any:  # type: ignore[override]
        _raise(Panic("at once"))

    revise = execute = report = plan  # type: ignore[assignment]

    def __init__(self, *_: Any) -> None:
        raise Panic("when made")


class SelfCancelling(Sample):
    """Cancels the task that it runs in, and answers as if nothing were."""

    name = "self_cancelling"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        await _cancel_itself_and_return()
        return PlanDraft("A plan", [PlanStep("one")])

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        await _cancel_itself_and_return()
        yield Step(1)
        yield Step(2)


class BadEnd(Sample):
    """Its generator raises when it is closed."""

    name = "bad_end"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        try:
            yield Step(1)
            yield Step(2)
        finally:
            raise KeyboardInterrupt("at the end")


class Forking(Sample):
    """Forks, and both copies go on as if they were the agent."""

    name = "forking"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step({"pid": os.getpid()})
        os.fork()
        yield Step({"pid": os.getpid()})
        await asyncio.sleep(0.1)
        yield Step({"pid": os.getpid()})


class Liar(Sample):
    """Answers the worker itself, in a form of its own."""

    name = "liar"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        os.write(int(sys.argv[2]), ctx.options["line"].encode() + b"\n")
        await asyncio.sleep(3600)
        raise AssertionError


class Endless(list[Any]):
    """Says that it holds one item."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self[0]


class Disguised(str):
    """Is found in no set."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Untrue(Sample):
    """Hands over what is not what it says."""

    name = "untrue"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("A plan", Endless([PlanStep("one")]))

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        match ctx.options["what"]:
            case "events":
                yield Step(1, Endless([Event("note")]))
            case "type":
                yield Step(1, [Event(Disguised("accepted"))])
            case _:
                yield Step(1, [Event("note", {Disguised("seq"): 1})])
        yield Step(2)
        yield Step(3)
