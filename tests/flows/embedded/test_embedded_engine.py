"""The engine inside a program: a simple engine's methods, on Temporal and without it."""

import asyncio
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pavo.config import Settings, TemporalSettings
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.flows import Flow, TemporalWorkflowEngine
from pavo.tools.contract import tool

LONG = 60.0


class Shop:
    """A program's functions."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.hold = threading.Event()

    def fetch_order(self, id: str) -> dict[str, Any]:
        self.calls.append(("fetch", id))
        return {"id": id, "sum": 12}

    def pay(self, sum: int) -> str:
        """Pay it."""
        self.calls.append(("pay", sum))
        return f"paid {sum}"

    def broken(self) -> None:
        raise ValueError("no")

    @tool(effect="idempotent", seconds=60)
    def waits(self) -> str:
        """Wait."""
        self.hold.wait(LONG)
        return "done"

    async def later(self, value: int) -> int:
        await asyncio.sleep(0)
        return value + 1


REFUND = {
    "name": "refund",
    "steps": {
        "fetch": {"action": "fetch_order", "params": {"id": "{{ inputs.order }}"}},
        "pay": {"action": "pay", "params": {"sum": "{{ fetch.sum }}"}, "depends_on": ["fetch"]},
    },
}


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.hold.set()


@pytest.fixture
def away(settings: Settings) -> Settings:
    """Nobody answers where Temporal should be."""
    return settings.model_copy(update={"temporal": TemporalSettings.model_validate({"address": "127.0.0.1:9"})})


Make = Callable[..., TemporalWorkflowEngine]


@pytest.fixture
def make(shop: Shop, settings: Settings, organisation: uuid.UUID) -> Iterator[Make]:
    made: list[TemporalWorkflowEngine] = []

    def engine(settings: Settings = settings, program: str | None = None) -> TemporalWorkflowEngine:
        actions = {each.__name__: each for each in (shop.fetch_order, shop.pay, shop.broken, shop.waits, shop.later)}
        name = program or f"shop-{uuid.uuid4().hex[:12]}"
        found = TemporalWorkflowEngine(
            name, actions, settings=settings, organisation=str(organisation), falls_back_after=0.5
        )
        made.append(found)
        return found

    yield engine
    for each in made:
        each.close()


def test_runs_a_simple_engines_flow_on_temporal(make: Make, shop: Shop) -> None:
    engine = make()
    assert engine.register(REFUND) == "refund"
    run = engine.start("refund", {"order": "A7"})
    found = engine.result(run, LONG)
    assert (found["state"], found["engine"]) == ("succeeded", "temporal")
    assert found["results"] == {"fetch": {"id": "A7", "sum": 12}, "pay": "paid 12"}
    assert shop.calls == [("fetch", "A7"), ("pay", 12)]
    assert engine.status(run) == found
    assert [each["id"] for each in engine.list()] == [run]


def test_runs_without_temporal(make: Make, away: Settings, shop: Shop) -> None:
    engine = make(away)
    engine.register(REFUND)
    found = engine.result(engine.start("refund", {"order": "A7"}), LONG)
    assert (found["state"], found["engine"]) == ("succeeded", "local")
    assert shop.calls == [("fetch", "A7"), ("pay", 12)]


def test_goes_back_to_temporal_once_it_answers(make: Make, settings: Settings, away: Settings, shop: Shop) -> None:
    name = f"shop-{uuid.uuid4().hex[:12]}"
    later = {"action": "later", "params": {"value": 1}, "depends_on": ["waits"]}
    flow = {"name": "two", "steps": {"waits": {"action": "waits"}, "later": later}}
    before = make(away, name)
    before.register(flow)
    run = before.start("two")
    _until(lambda: before.status(run)["engine"] == "local")
    before.close()
    shop.hold.set()
    after = make(settings, name)
    found = after.result(run, LONG)
    assert (found["state"], found["engine"], found["results"]["later"]) == ("succeeded", "temporal", 2)


def test_takes_definitions_and_builders(make: Make) -> None:
    engine = make()
    text = "flow: one\nsteps:\n  later:\n    python: later\n    with: {value: 41}\n"
    flow = Flow("other")
    flow.python("later", "later", values={"value": 1})
    assert [engine.register(text), engine.register(flow)] == ["one", "other"]
    runs = [engine.start("one"), engine.start("other")]
    assert [engine.result(each, LONG)["results"]["later"] for each in runs] == [42, 2]


def test_a_failing_action_fails_the_run(make: Make) -> None:
    engine = make()
    engine.register({"name": "bad", "steps": {"broken": {"action": "broken"}}})
    found = engine.result(engine.start("bad"), LONG)
    assert found["state"] == "failed"
    assert "ValueError" in str(found["error"]) or "broken" in str(found["error"])


def test_cancelling_ends_a_run_and_a_second_time_changes_nothing(make: Make, shop: Shop) -> None:
    engine = make()
    engine.register({"name": "long", "steps": {"waits": {"action": "waits"}}})
    run = engine.start("long")
    _until(lambda: engine.status(run)["state"] == "running")
    engine.cancel(run)
    shop.hold.set()
    assert engine.result(run, LONG)["state"] == "cancelled"
    engine.cancel(run)


def test_the_same_id_is_one_run(make: Make, shop: Shop) -> None:
    engine, wanted = make(), str(uuid.uuid4())
    engine.register(REFUND)
    assert {engine.start("refund", {"order": "A7"}, run_id=wanted) for _ in range(3)} == {wanted}
    engine.result(wanted, LONG)
    assert len(shop.calls) == 2
    with pytest.raises(Conflict, match="another run's"):
        engine.start("refund", {"order": "B8"}, run_id=wanted)


def test_wait_does_not_block_an_event_loop(make: Make) -> None:
    engine = make()
    engine.register(REFUND)

    async def both() -> list[str]:
        runs = [engine.start("refund", {"order": each}) for each in ("A", "B")]
        return [each["state"] for each in await asyncio.gather(*(engine.wait(each) for each in runs))]

    assert asyncio.run(both()) == ["succeeded", "succeeded"]


def test_runs_of_a_program_are_left_to_it(make: Make, away: Settings) -> None:
    one = make(away)
    one.register(REFUND)
    run = one.start("refund", {"order": "A7"})
    one.close()
    other = make()
    assert other.list() == []
    assert other.status(run)["state"] == "running"


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ({"name": "x", "steps": {"a": {"action": "pai"}}}, "pay"),
        ({"name": "x", "steps": {"a": {"action": "pay", "condition": "today"}}}, "condition"),
        ({"name": "x", "steps": {"a": {"action": "pay", "depends_on": ["b"]}}}, "b"),
        ("flow: x\nsteps:\n  a:\n    python: nothing_here\n", "nothing_here"),
        ("flow: x\nsteps:\n  a:\n    agent: writer\n    with: {goal: write}\n", "writer|agent"),
    ],
)
def test_wrong_flows_are_refused(make: Make, flow: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        make().register(flow)
    assert re.search(told, f"{wrong.value} {wrong.value.remedy}")


def test_who_waits_is_told_when_the_engine_is_closed(make: Make) -> None:
    engine, told = make(), list[BaseException]()
    engine.register({"name": "long", "steps": {"waits": {"action": "waits"}}})
    run, begun = engine.start("long"), threading.Event()

    def wait() -> None:
        begun.set()
        try:
            engine.result(run)
        except Conflict as error:
            told.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    begun.wait(LONG)
    with pytest.raises(TimeoutError):
        engine.result(run, 0.05)
    engine.close()
    waiting.join(LONG)
    assert [type(each) for each in told] == [Conflict]


def test_what_is_not_there_is_told(make: Make) -> None:
    engine = make()
    engine.register(REFUND)
    with pytest.raises(NotFound, match="refnd") as wrong:
        engine.start("refnd")
    assert "refund" in str(wrong.value.remedy)
    with pytest.raises(InvalidInput, match="order"):
        engine.start("refund")
    with pytest.raises(NotFound):
        engine.status(str(uuid.uuid4()))
    with pytest.raises(InvalidInput, match="no id"):
        engine.status("7")
    engine.close()
    engine.close()
    with pytest.raises(Conflict, match="closed"):
        engine.start("refund")


def any_number(*given: int) -> None:
    """Cannot be called by a step."""


WRONG_ACTIONS: list[tuple[dict[str, Any], str]] = [
    ({"a": 3}, "no function"),
    ({"a": any_number}, "cannot be given by name"),
    ({"a-b": Shop().pay, "a_b": Shop().pay}, "both"),
]


@pytest.mark.parametrize(("actions", "told"), WRONG_ACTIONS)
def test_wrong_actions_are_refused(settings: Settings, actions: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        TemporalWorkflowEngine("shop", actions, settings=settings)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
