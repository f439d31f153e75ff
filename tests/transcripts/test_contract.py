"""`Step.messages` and `ctx.transcript` in both isolations: what is refused, with which remedy, and what comes."""

import uuid
from collections import UserDict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from pavo.agents.checks import checked_step
from pavo.agents.context.on_wire import load_window
from pavo.agents.contract import (
    MAX_MESSAGE_BYTES,
    Agent,
    AgentContext,
    FeedbackItem,
    Plan,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
)
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.errors import AgentRefused, Unavailable
from pavo.testing import AgentTrial, MemoryCorpus
from pavo.testing.transcript import MemoryTranscript
from pavo.transcripts.domain import MAX_READ, Transcript, TranscriptMessage, Window

PLAN = Plan(1, "hash", "s", [PlanStep("one")])
BAD: list[tuple[Any, str]] = [
    ("text", "Step.messages"),
    ({"role": "user"}, "Step.messages"),
    (None, "Step.messages"),
    ([[]], "Message 1"),
    ([{}, "text"], "Message 2"),
    ([{"a": {1, 2}}], "Message 1 .*cannot be recorded"),
    ([{"a": "\0"}], "NUL"),
    ([{"a": "\ud800"}], "surrogate"),
    ([{1: "a"}], "key"),
    ([{"a": 2**64}], "64 bits"),
    ([{"a": float("nan")}], "nan"),
    ([{"a": "x" * MAX_MESSAGE_BYTES}], "256,000"),
    ([{"a": "x" * 250_000}] * 17, "together"),
    ([{}] * 1001, "1000"),
]


@pytest.mark.parametrize(("messages", "why"), BAD)
def test_what_is_no_message_is_refused_with_a_remedy(messages: Any, why: str) -> None:
    with pytest.raises(AgentRefused, match=why) as refused:
        checked_step(Step(1, messages=messages))
    assert refused.value.remedy


def test_messages_become_what_will_be_read() -> None:
    given = [{"a": (1, -0.0)}, UserDict({"b": 1})]
    assert checked_step(Step(1, messages=given)).messages == ({"a": [1, 0.0]}, {"b": 1})
    untouched = Step(1)
    assert checked_step(untouched) is untouched, "a step without messages costs nothing more"


WINDOWS: list[tuple[dict[str, Any], str]] = [
    ({"after": -1}, "after"),
    ({"after": "1"}, "after"),
    ({"after": 2**63}, "after"),
    ({"after": True}, "after"),
    ({"limit": 0}, "limit"),
    ({"limit": MAX_READ + 1}, "limit"),
    ({"limit": None}, "limit"),
    ({"max_bytes": 0}, "max_bytes"),
    ({"max_bytes": 10**9}, "max_bytes"),
    ({"newest": 1}, "newest"),
]


@pytest.mark.parametrize(("window", "field"), WINDOWS)
async def test_what_is_no_window_is_refused_by_name(window: dict[str, Any], field: str) -> None:
    with pytest.raises(AgentRefused, match=field) as refused:
        await Transcript(MemoryTranscript()).read(**window)
    assert refused.value.field == field and refused.value.remedy


@pytest.mark.parametrize("data", [None, {}, [1], [0, 1, 1, False, 1], [0, 10**9, 1, False], ["0", 1, 1, False]])
def test_a_forged_window_is_unreadable(data: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        load_window(data)


# In a host


class Reader(Agent):
    """Says what it reads; its prompt says what else."""

    name = "reader"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("s", [PlanStep("one")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("s", [PlanStep("one")]), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if ctx.prompt == "bad window":
            await ctx.transcript.read(limit=10**9)
        if ctx.prompt == "bad message":
            yield Step(1, messages=[{"a": "x" * MAX_MESSAGE_BYTES}])
        for number in range(checkpoint or 0, 3):
            found = await ctx.transcript.read(limit=2, newest=True)
            read = [[m.position, m.data, m.version, m.step] for m in found]
            yield Step(number + 1, messages=[{"read": read, "count": await ctx.transcript.count()}, {"n": number}])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return str(await ctx.transcript.count())


def opened(isolation: str, source: Any, prompt: str = "") -> AgentHost:
    ctx = AgentContext(uuid.uuid4(), uuid.uuid4(), "t", prompt, {}, MemoryCorpus(), transcript=Transcript(source))
    if isolation == "worker":
        return WorkerHost(Reader, ctx, HostLimits())
    return ProcessHost(f"{__name__}:Reader", ctx, HostLimits())


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_an_agent_reads_what_was_recorded(isolation: str) -> None:
    memory = MemoryTranscript()
    host = opened(isolation, memory)
    try:
        await host.open(PLAN, None)
        number = 0
        while (step := await host.next_step()) is not None:
            number += 1
            assert isinstance(step, Step)
            memory.add(step, 1, number)
        assert await host.report(PLAN, 3) == "6"
    finally:
        await host.close()
    assert [message.data for message in memory.messages[:2]] == [{"read": [], "count": 0}, {"n": 0}]
    second = memory.messages[2].data
    assert second == {"read": [[1, {"read": [], "count": 0}, 1, 1], [2, {"n": 0}, 1, 1]], "count": 2}


@pytest.mark.parametrize("isolation", ["worker", "process"])
@pytest.mark.parametrize(("prompt", "why"), [("bad window", "limit"), ("bad message", "256,000")])
async def test_the_agent_is_told_the_remedy(isolation: str, prompt: str, why: str) -> None:
    host = opened(isolation, MemoryTranscript(), prompt)
    try:
        await host.open(PLAN, None)
        with pytest.raises(AgentRefused, match=why) as refused:
            await host.next_step()
        assert refused.value.remedy
    finally:
        await host.close()


class Away:
    """PostgreSQL is away."""

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        raise Unavailable("PostgreSQL is away.", dependency="postgres")

    async def count(self) -> int:
        raise Unavailable("PostgreSQL is away.", dependency="postgres")


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_an_outage_is_nobodys_failure(isolation: str) -> None:
    host = opened(isolation, Away())
    try:
        await host.open(PLAN, None)
        with pytest.raises(Unavailable, match="PostgreSQL is away"):
            await host.next_step()
    finally:
        await host.close()


@pytest.mark.parametrize("isolation", ["worker", "process"])
def test_a_trial_has_a_transcript(isolation: Any) -> None:
    outcome = AgentTrial(Reader, isolation=isolation).check()
    assert outcome.report == "6" and [message.get("count") for message in outcome.messages[::2]] == [0, 2, 4]
