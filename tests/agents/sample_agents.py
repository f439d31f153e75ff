"""Agents that do everything right and everything wrong; importable by a child process."""

import asyncio
import contextvars
import ctypes
import os
import subprocess
import sys
import time
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    Event,
    FeedbackItem,
    Plan,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
)
from pavo.errors import AgentRefused

scope: contextvars.ContextVar[str] = contextvars.ContextVar("scope")


class BadMessage(Exception):
    def __str__(self) -> str:
        raise ValueError("no message")


class Sample(Agent):
    """Well-behaved: `options["n"]` steps; searches the corpus at each."""

    name = "sample"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(
            f"Do {ctx.title}: {[hit.title for hit in ctx.context]}", [PlanStep("one"), PlanStep("two", "x")]
        )

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        steps = [*plan.steps, *(PlanStep(f"because of {item.body}") for item in feedback)]
        return Revision(PlanDraft(plan.summary, steps), {item.id: f"done {item.step}" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        start = checkpoint["n"] if checkpoint else 0
        token = scope.set("mine")
        try:
            async with asyncio.timeout(60):
                for n in range(start + 1, ctx.options["n"] + 1):
                    hits = await ctx.corpus.search(f"q{n}", 3)
                    event = Event("found", {"titles": [hit.title for hit in hits], "plan": plan.hash})
                    yield Step({"n": n, "ü": "\N{SNOWMAN}"}, [event], progress=n, total=ctx.options["n"])
        finally:
            scope.reset(token)  # fails in another context than the one that set it

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        return f"# {ctx.title}\n{checkpoint} by v{plan.version}"


Pair = namedtuple("Pair", "x y")


class Level(IntEnum):
    HIGH = 3


class Shape(Enum):
    ROUND = 1


class Colour(StrEnum):
    RED = "red"


class Words(str):
    pass


RELATIVES: Any = {Words("pair"): Pair(1, (2,)), "ordered": OrderedDict(a=Level.HIGH), "words": Words("w"), "zero": -0.0}
"""What is JSON by its bases; PLAIN_RELATIVES is what becomes of it."""
PLAIN_RELATIVES: Any = {"pair": [1, [2]], "ordered": {"a": 3}, "words": "w", "zero": 0.0}
NUMBERS: Any = [
    1e22,
    1e16,
    1.2345678901234567e19,
    1e308,
    5e-324,
    -1e300,
    1.0,
    2**53 + 1,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
]


def nested(levels: int) -> Any:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    return deep


def _circle() -> Any:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _steps_of(options: dict[str, Any]) -> Any:
    """What the agent Breach yields, by name: it cannot come from the outside, as it is no JSON."""
    return {
        "set": lambda: Step({1, 2}),
        "keys": lambda: Step({"a": [{1: 2}]}),
        "nul": lambda: Step({"a": "x\0"}),
        "nul key": lambda: Step({"a\0": 1}),
        "nul text": lambda: Step({"a": "\\u0000"}),
        "surrogate": lambda: Step("\ud800"),
        "nan": lambda: Step(float("nan")),
        "infinity": lambda: Step([float("inf")]),
        "deep": lambda: Step(nested(5000)),
        "65 levels": lambda: Step(nested(65)),
        "255 levels": lambda: Step(nested(255)),
        "event of 65 levels": lambda: Step(1, [Event("x", {"a": nested(64)})]),
        "circle": lambda: Step(_circle()),
        "bytes": lambda: Step(b"x"),
        "datetime": lambda: Step({"at": datetime.now(UTC)}),
        "uuid": lambda: Step([uuid.uuid4()]),
        "enum": lambda: Step(Shape.ROUND),
        "dataclass": lambda: Step(Event("x")),
        "large integer": lambda: Step({"n": 2**64}),
        "event integer": lambda: Step(1, [Event("x", {"n": -(2**63) - 1})]),
        "event uuid": lambda: Step(1, [Event("x", {"id": uuid.uuid4()})]),
        "relatives": lambda: Step(RELATIVES, [Event("x", {"a": RELATIVES})]),
        "64 levels": lambda: Step(nested(64)),
        "numbers": lambda: Step(NUMBERS, [Event("x", {"a": NUMBERS})]),
        "large": lambda: Step("x" * 1_000_001),
        "no step": lambda: {"n": 1},
        "own type": lambda: Step(1, [Event("tick")]),
        "odd type": lambda: Step(1, [Event("two words")]),
        "no event": lambda: Step(1, ["tick"]),  # type: ignore[list-item]
        "event data": lambda: Step(1, [Event("x", [1])]),  # type: ignore[arg-type]
        "event seq": lambda: Step(1, [Event("x", {"seq": 1})]),
        "event nul": lambda: Step(1, [Event("x", {"a": "\0"})]),
        "large event": lambda: Step(1, [Event("x", {"a": "y" * 64_001})]),
        "many events": lambda: Step(1, [Event("x")] * 1001),
        "large events": lambda: Step(1, [Event("x", {"a": "y" * 60_000})] * 100),
        "events": lambda: Step(1, 5),  # type: ignore[arg-type]
        "progress": lambda: Step(1, progress=1.5),  # type: ignore[arg-type]
        "total": lambda: Step(1, total=-1),
    }[options["what"]]()


class Breach(Sample):
    name = "breach"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return {
            "empty": lambda: PlanDraft("nothing", []),
            "type": lambda: "a plan",
            "nul": lambda: PlanDraft("a\0", [PlanStep("x")]),
            "step": lambda: PlanDraft("a", ["x"]),  # type: ignore[list-item]
            "steps": lambda: PlanDraft("a", "x"),  # type: ignore[arg-type]
            "title": lambda: PlanDraft("a", [PlanStep(" ")]),
            "detail": lambda: PlanDraft("a", [PlanStep("x", None)]),  # type: ignore[arg-type]
            "large": lambda: PlanDraft("a", [PlanStep("x", "y" * 500_001)] * 2),
        }[ctx.options["what"]]()  # type: ignore[return-value]

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        answers = {item.id: "ok" for item in feedback}
        draft = PlanDraft("a", plan.steps)
        return {
            "type": lambda: draft,
            "missing": lambda: Revision(draft, {}),
            "unknown": lambda: Revision(draft, {**answers, "zzz": "?"}),
            "answer": lambda: Revision(draft, dict.fromkeys(answers, 3)),  # type: ignore[arg-type]
            "relative": lambda: Revision(draft, dict.fromkeys(answers, Colour.RED)),
            "answers": lambda: Revision(draft, ["ok"]),  # type: ignore[arg-type]
        }[ctx.options["what"]]()  # type: ignore[return-value]

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield _steps_of(dict(ctx.options))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        return {"relative": Colour.RED, "type": 5, "nul": "a\0", "large": "x" * 1_000_001, "surrogate": "\ud800"}[
            ctx.options["what"]
        ]  # type: ignore[return-value]


class NoGenerator(Sample):
    name = "no_generator"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> Any:  # type: ignore[override]
        return [Step(1)]

    def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> Any:  # type: ignore[override]
        return "at once"


class Raising(Sample):
    name = "raising"

    async def plan(self, ctx: AgentContext) -> PlanDraft:  # noqa: C901
        await asyncio.sleep(0)
        match ctx.options["what"]:
            case "value":
                raise ValueError("bad \0 value")
            case "long":
                raise ValueError("x" * 10_000)
            case "refused":
                raise AgentRefused("useless", remedy="give up")
            case "exit":
                sys.exit(3)
            case "message":
                raise BadMessage
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._fail(KeyError("inner")))
            case "refused group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._fail(AgentRefused("deep")))
            case "cancelled":
                raise asyncio.CancelledError
            case "unread":
                await ctx.messages(7)
            case _:
                await ctx.corpus.search(ctx.options["what"])
        raise AssertionError

    async def _fail(self, error: Exception) -> None:
        raise error

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step(1)
        await self.plan(ctx)


class Slow(Sample):
    """A step that takes an hour, unless `ctx.cancelled` ends it; writes down how it ended."""

    name = "slow"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        await asyncio.sleep(3600)
        raise AssertionError

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        mark = Path(ctx.options["mark"])
        try:
            yield Step({"n": 0})
            mark.write_text("begun")
            if ctx.options.get("heed"):
                await ctx.cancelled.wait()
            else:
                await asyncio.sleep(3600)
            yield Step({"n": 1})
        finally:
            mark.write_text("cleaned up")


class Stubborn(Sample):
    """Ignores its cancellation for as long as the test allows."""

    name = "stubborn"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        mark = Path(ctx.options["mark"])
        while True:
            try:
                mark.write_text("begun")
                await asyncio.wait_for(ctx.cancelled.wait(), 3600)
                return
            except asyncio.CancelledError:
                continue
        yield Step(None)


class Faulty(Sample):
    """Kills or hangs its process in the step after the first."""

    name = "faulty"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:  # noqa: C901
        yield Step({"pid": os.getpid()})
        match ctx.options["what"]:
            case "exit":
                os._exit(3)
            case "segfault":
                ctypes.string_at(0)
            case "loop":
                while True:
                    pass
            case "hog":
                hog: list[bytearray] = []
                while True:
                    hog.append(bytearray(b"x" * 1_000_000))
            case "hog in a task":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._hog())
            case "hog in native code":
                ctypes.memset(ctypes.c_void_p(ctypes.CDLL(None).malloc(4 << 30)), 1, 4 << 30)
            case "garbage":
                os.write(int(sys.argv[2]), b"no message\n")
                await asyncio.sleep(3600)
            case "deaf":
                os.close(int(sys.argv[2]))
                time.sleep(3600)
            case _:
                await asyncio.sleep(3600)

    async def _hog(self) -> None:
        hog = bytearray(1 << 40)
        raise AssertionError(len(hog))


class Descendants(Sample):
    """Starts processes of its own that outlive everything but a kill: one of its group, one of a session apart."""

    name = "descendants"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
        process, apart = subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)
        yield Step({"pid": os.getpid(), "descendant": process.pid, "apart": apart.pid})
        if ctx.options.get("busy"):
            while True:
                pass
        await asyncio.sleep(3600)


class Talkative(Sample):
    name = "talkative"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        print("hello from the agent")
        print("to stderr", file=sys.stderr)
        os.write(1, b"half a line, \xff\n")
        environment = {name: os.environ.get(name) for name in ("DATABASE_URL", "OPENAI_API_KEY")}
        yield Step({"environment": environment, "descriptors": sorted(os.listdir("/proc/self/fd"))})
        for _ in range(5000):
            print("again")
        yield Step(2)


class Deep(Sample):
    """Its second step waits for an hour, deep inside, with a task of its own beside it; or blocks there."""

    name = "deep"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step(1)
        beside = asyncio.create_task(self._beside())
        async for number in self._inner(ctx):
            yield Step(number)
        beside.cancel()

    async def _inner(self, ctx: AgentContext) -> AsyncIterator[int]:
        await asyncio.sleep(0)
        Path(ctx.options["mark"]).touch()
        if ctx.options.get("block"):
            time.sleep(3600)
        await self._waits_for_ever()
        yield 2

    async def _waits_for_ever(self) -> None:
        await asyncio.sleep(3600)

    async def _beside(self) -> None:
        await asyncio.sleep(3600)
