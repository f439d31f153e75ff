"""`ctx.emit`, in both isolations: gathered, bounded, refused with a remedy, and no way to fill a worker."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.driving import until

from pavo.agents.checks import checked_delta
from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.agents.emitting.coalescer import CUT, MAX_CROSSING, MAX_SAID, Coalescer
from pavo.agents.emitting.emitted import MAX_EMITS, Emitted
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.errors import AgentRefused
from pavo.kit.json_values import encode_text
from pavo.testing import MemoryCorpus
from pavo.timeline.merge import Parts

PLAN = Plan(1, "hash", "s", [PlanStep("one")])


class Gathered:
    """Takes what a Coalescer sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Parts]] = []

    def __call__(self, step: int, parts: Parts) -> None:
        self.sent.append((step, parts))

    async def text(self, length: int) -> str:
        """The text, once it is so long."""

        async def there() -> str:
            text = "".join(parts["text"]["text"] for _, parts in self.sent)
            return text if len(text) >= length else ""

        return await until(there, what=f"{length} characters")


async def test_what_is_emitted_comes_in_few_messages_and_whole() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 0.05)
    began = asyncio.get_running_loop().time()
    for number in range(100):
        coalescer.emit(1, "text", {"text": f"{number} ", "n": number})
        await asyncio.sleep(0.002)
    assert await gathered.text(290) == "".join(f"{number} " for number in range(100))
    assert len(gathered.sent) <= (asyncio.get_running_loop().time() - began) / 0.05 + 2
    assert gathered.sent[-1][1]["text"]["n"] == 99


async def test_a_thread_may_emit() -> None:
    gathered = Gathered()
    await asyncio.to_thread(Coalescer(gathered).emit, 1, "text", {"text": "hello"})
    assert await gathered.text(5) == "hello"


async def test_a_flood_is_cut_and_says_so_once() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 0.01)
    for _ in range(MAX_SAID // 1_000 + 50):
        coalescer.emit(1, "text", {"text": "x" * 1_000})
    coalescer.flush()
    for _ in range(50):
        coalescer.emit(1, "text", {"text": "more"})
        coalescer.emit(1, "other", {"a": 1})
    coalescer.flush()
    ((_, parts),) = gathered.sent
    assert parts["text"][CUT] is True and MAX_SAID - 200 <= len(parts["text"]["text"]) <= MAX_SAID
    coalescer.emit(2, "text", {"text": "the next step"})
    coalescer.flush()
    assert gathered.sent[-1] == (2, {"text": {"text": "the next step"}})


async def test_a_text_that_begins_anew_has_the_room_of_the_one_before() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 10.0)
    for number in range(1, 6):
        for _ in range(2 * MAX_SAID // 10_000):
            coalescer.emit(1, "text", {"text": "x" * 10_000, "anew": number})
    coalescer.emit(1, "text", {"text": "y", "anew": 6})
    coalescer.flush()
    ((_, parts),) = gathered.sent
    assert parts["text"] == {"text": "y", "anew": 6}
    for number in range(7, 9):
        coalescer.emit(1, "text", {"text": "z" * 63_000, "anew": number, "more": "x" * 500})
    coalescer.flush()
    assert len(gathered.sent[1][1]["text"]["text"]) == 63_000, "also where what was sent before is replaced"
    coalescer.emit(1, "text", {"text": "z" * 10_000, "anew": 8})
    coalescer.flush()
    cut = gathered.sent[2][1]["text"]
    assert cut[CUT] is True and 0 < len(cut["text"]) < 1_000


async def test_many_types_are_a_flood_too() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 10.0)
    for number in range(5_000):
        coalescer.emit(1, f"t{number}", {"n": number})
    coalescer.flush()
    coalescer.flush()
    assert len(gathered.sent) == 1 and len(gathered.sent[0][1]) <= MAX_SAID // 100


@pytest.mark.parametrize("text", [{}, {"text": ""}])
async def test_members_beside_a_text_fill_the_room_too(text: dict[str, str]) -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 10.0)
    for number in range(50):
        coalescer.emit(1, "state", {**text, f"member{number}": "x" * 10_000})
        coalescer.emit(1, f"state{number}", {**text, "member": "x" * 10_000})
    coalescer.flush()
    ((_, parts),) = gathered.sent
    assert len(encode_text(parts)) < MAX_SAID + 1_000 and parts["state"][CUT] is True
    replaced = Gathered()
    coalescer = Coalescer(replaced, 10.0)
    for number in range(50):
        coalescer.emit(1, "state", {**text, "member": f"{number:010000}"})
    coalescer.flush()
    assert replaced.sent[0][1]["state"]["member"].endswith("49"), "the last one holds, in the place of the others"


async def test_a_thread_that_emits_quicker_than_anybody_takes_it_is_bounded() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 10.0)

    def flood() -> None:
        for _ in range(MAX_CROSSING + 500):
            coalescer.emit(1, "text", {"text": "x"})

    thread = threading.Thread(target=flood)
    thread.start()
    thread.join()  # the loop stands still meanwhile
    await asyncio.sleep(0)
    coalescer.flush()
    assert len(gathered.sent[0][1]["text"]["text"]) == MAX_CROSSING
    coalescer.emit(1, "text", {"text": "y"})
    coalescer.flush()
    assert gathered.sent[1][1]["text"]["text"] == "y"


async def test_what_is_late_for_its_step_is_dropped() -> None:
    gathered = Gathered()
    coalescer = Coalescer(gathered, 10.0)
    coalescer.emit(2, "text", {"text": "new"})
    coalescer.emit(1, "text", {"text": "old"})
    coalescer.flush()
    assert gathered.sent == [(2, {"text": {"text": "new"}})]


BAD: list[tuple[Any, Any, str]] = [
    ("tick", {}, "Pavo's own"),
    ("gate_opened", {}, "Pavo's own"),
    ("model_text", {"text": "x"}, "Pavo's own"),
    ("model_text:2", {"text": "x"}, "Pavo's own"),
    ("no type", {}, "no event type"),
    (7, {}, "no event type"),
    ("x", {"seq": 1}, "seq"),
    ("x", [1], "mapping"),
    ("x", {"a": object()}, "cannot be recorded"),
    ("x", {"a": "\0"}, "NUL"),
    ("x", {"text": "x" * 64_001}, "bytes"),
]


@pytest.mark.parametrize(("kind", "data", "why"), BAD)
async def test_what_is_no_event_is_refused(kind: Any, data: Any, why: str) -> None:
    gathered = Gathered()
    with pytest.raises(AgentRefused, match=why):
        Coalescer(gathered).emit(1, kind, data)
    assert gathered.sent == []


# In a host


class Talker(Agent):
    """Emits in everything that it does; its prompt says what else."""

    name = "talker"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        ctx.emit("thought", {"text": "a plan"})
        return PlanDraft("s", [PlanStep("one")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("s", [PlanStep("one")]), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if ctx.prompt == "bad":
            ctx.emit("tick", {})
        for number in range(checkpoint or 0, 2):
            for letter in "abc":
                ctx.emit("text", {"text": f"{number}{letter}"})
                await asyncio.sleep(0)
            yield Step(number + 1)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        ctx.emit("text", {"text": "the report"})
        return "r"


class Told:
    """An emitter of the worker's, which sees what reaches it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, dict[str, Any]]] = []

    def emit(self, step: int, type: str, data: Any) -> None:
        event = checked_delta(type, data)
        self.told.append((step, event.type, dict(event.data)))


def opened(isolation: str, told: Told, prompt: str = "") -> AgentHost:
    ctx = AgentContext(uuid.uuid4(), uuid.uuid4(), "t", prompt, {}, MemoryCorpus(), emitter=told)
    if isolation == "worker":
        return WorkerHost(Talker, ctx, HostLimits())
    return ProcessHost(f"{__name__}:Talker", ctx, HostLimits())


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_an_agent_is_heard_step_by_step(isolation: str) -> None:
    told = Told()
    host = opened(isolation, told)
    try:
        await host.open(PLAN, None)
        while await host.next_step() is not None:
            pass
        await host.report(PLAN, 2)
    finally:
        await host.close()
    by_step = {step: "".join(data["text"] for at, _, data in told.told if at == step) for step, _, _ in told.told}
    assert by_step == {1: "0a0b0c", 2: "1a1b1c", 3: "the report"}


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_an_agent_that_emits_what_is_pavos_own_is_told_the_remedy(isolation: str) -> None:
    host = opened(isolation, Told(), "bad")
    try:
        await host.open(PLAN, None)
        with pytest.raises(AgentRefused, match="my_tick"):
            await host.next_step()
    finally:
        await host.close()


async def test_a_process_that_floods_past_its_own_side_is_given_up() -> None:
    told, emitted = Told(), Emitted()
    ctx = AgentContext(uuid.uuid4(), uuid.uuid4(), "t", "", {}, MemoryCorpus(), emitter=told)
    message = {"op": "emit", "step": 1, "parts": {"text": {"text": "x"}}}
    with pytest.raises(ValueError, match="deltas"):
        for _ in range(MAX_EMITS):
            emitted.take(message, ctx)
    assert len(told.told) == MAX_EMITS // 2
    with pytest.raises(ValueError, match="deltas"):
        Emitted().take({"step": 1, "parts": {f"t{number}": {} for number in range(MAX_EMITS)}}, ctx)
    assert len(told.told) == MAX_EMITS // 2, "nothing of it is looked at"


@pytest.mark.parametrize("message", [{"step": "1", "parts": {}}, {"step": 1, "parts": []}, {"step": 1}, {}])
async def test_what_is_no_message_of_deltas_is_unreadable(message: dict[str, Any]) -> None:
    ctx = AgentContext(uuid.uuid4(), uuid.uuid4(), "t", "", {}, MemoryCorpus(), emitter=Told())
    with pytest.raises((TypeError, LookupError)):
        Emitted().take(message, ctx)
