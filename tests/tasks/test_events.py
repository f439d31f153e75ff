"""Pavo's events and those of agents cannot be taken for each other."""

import inspect
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.agents.checks import EVENT_TYPE, checked_step
from pavo.agents.contract import PAVO_EVENT_TYPES, RESERVED_EVENT_KEYS, Event, Step
from pavo.agents.delegating.delegation import DelegatedStage
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.artifacts.domain import Artifact
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import AgentRefused
from pavo.gates.domain import Gate
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.wire import event_data
from pavo.tasks.wire.event_schemas import RECORDED, TaskEvent
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.timeline.domain import Event as RecordedEvent
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher
from pavo.tools.contract import CallState, Effect
from tests import told
from tests.driving import QUICK, Tasks, types
from tests.tasks.slots import nobody_waits

EXAMPLES: dict[Any, Any] = {
    str: "x",
    int: 1,
    int | None: 2,
    bool: True,
    uuid.UUID: uuid.uuid4(),
    uuid.UUID | None: uuid.uuid4(),
    datetime: datetime.now(UTC),
    list[str]: ["x"],
    Effect: "read",
    str | None: "x",
    DelegatedStage: "FAILED",
    CallState: "done",
    Artifact: Artifact(uuid.uuid4(), "a.txt", "text/plain", 1, "0" * 64, datetime.now(UTC)),
    d.Receipt: d.Receipt(d.EXECUTING, 3, True, "Resuming goes on."),
    Gate: Gate(
        *(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), "question", "x", "x?", "0" * 64, {}, ("y",), "answered", "y"),
        *("a@example.com", uuid.uuid4(), "as agreed", datetime.now(UTC), datetime.now(UTC), datetime.now(UTC)),
    ),
    event_data.EventFailure: event_data.EventFailure(type="Quarantined", cause="x", remedy="y", step=None),
}
"""A value of each kind that the makers of events take."""
CHOSEN: dict[str, Any] = {
    "name": d.EXECUTING,
    "changed": ["prompt", "agent_options"],
    "placed": d.FOR_AGENT,
    "options": {"steps": 1, "long": "x" * 1_000},
}
"""Where not any would do."""


def makers() -> list[Callable[..., NewEvent]]:
    """The functions of `events` that make one of Pavo's own."""
    found = [make for _, make in inspect.getmembers(events, inspect.isfunction) if make.__module__ == events.__name__]
    own = [make for make in found if make is not events.of_agent and not make.__name__.startswith("_")]
    return [make for make in own if inspect.signature(make).return_annotation is NewEvent]


def made(make: Callable[..., NewEvent], *, all_members: bool) -> NewEvent:
    """What it makes, of all that it takes or of the least."""
    given = {
        name: CHOSEN[name] if name in CHOSEN else EXAMPLES[parameter.annotation]
        for name, parameter in inspect.signature(make).parameters.items()
        if all_members or parameter.default is parameter.empty
    }
    return make(**given)


def recorded(event: NewEvent) -> dict[str, Any]:
    """As clients get it."""
    return json.loads(RecordedEvent(uuid.uuid4(), 1, event.type, datetime.now(UTC), event.data).as_json())


def test_every_name_is_defined_once_and_used() -> None:
    named = [get_args(get_type_hints(event)["type"]) for event in get_args(event_data.PavoEvent)]
    assert sorted(name for [name] in named) == sorted(PAVO_EVENT_TYPES)
    assert sorted(made(make, all_members=False).type for make in makers()) == sorted(PAVO_EVENT_TYPES)


@pytest.mark.parametrize("make", makers(), ids=lambda make: make.__name__)
def test_an_event_is_what_the_api_says_of_it(make: Callable[..., NewEvent]) -> None:
    least, most = (recorded(made(make, all_members=each)) for each in (False, True))
    told.check(least)
    told.check(most)
    [described] = [event for event in RECORDED if get_args(get_type_hints(event)["type"]) == (most["type"],)]
    assert set(most) == set(described.__annotations__), "described, and never told"
    assert set(least) >= described.__required_keys__
    for wrong in ({**most, "other": 1}, {name: value for name, value in most.items() if name != "at"}):
        with pytest.raises(AssertionError, match="not as it is described"):
            told.check(wrong)


def test_events_of_agents_are_told_apart() -> None:
    told.check(recorded(events.of_agent("word", {"progress": "any", "n": [1]})))
    schema = TaskEvent.model_json_schema()
    agents = schema["$defs"]["AgentEvent"]
    assert set(agents["properties"]["type"]["not"]["enum"]) == PAVO_EVENT_TYPES
    assert EVENT_TYPE.pattern == "[A-Za-z][A-Za-z0-9_.:-]{0,63}", "as the schema of AgentEvent has it"
    for make in makers():
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(recorded(made(make, all_members=False)), agents)


@pytest.mark.parametrize("name", sorted(PAVO_EVENT_TYPES))
def test_an_agent_cannot_write_an_event_of_pavo(name: str) -> None:
    with pytest.raises(AgentRefused, match="Pavo's own") as refused:
        checked_step(Step(1, [Event(name)]))
    assert f"my_{name}" in (refused.value.remedy or "")
    with pytest.raises(AgentRefused, match="Pavo's own"):
        events.of_agent(name, {})


@pytest.mark.parametrize("key", sorted(RESERVED_EVENT_KEYS))
def test_an_agent_cannot_set_what_numbers_an_event(key: str) -> None:
    with pytest.raises(AgentRefused, match=key):
        events.of_agent("my_event", {key: 1})


class PastTheHost:
    """An isolated agent that writes to its worker what no host has checked."""

    def __init__(self, event: Event) -> None:
        self._event = event

    async def open(self, *_: Any) -> None: ...

    async def next_step(self) -> Step:
        return Step(1, (self._event,))

    def is_open(self) -> bool:
        return False

    async def tell_stack(self) -> None: ...

    async def close(self, *, force: bool = False) -> None: ...


class OpenHosting(Hosting):
    """Opens such an agent."""

    event = Event("done")

    async def open(self, *_: Any, **more: Any) -> Any:
        return PastTheHost(self.event)


@pytest_asyncio.fixture
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    async with Redis.from_url(settings.redis.url) as redis:
        yield Publisher(redis)


@pytest.mark.parametrize("event", [Event("failed", {"error": {}}), Event("mine", {"seq": 1})])
async def test_an_event_that_passed_no_host_is_refused_before_it_is_recorded(
    tasks: Tasks, database: Database, publisher: Publisher, event: Event
) -> None:
    path = await tasks.create(QUICK)
    parts = (database, publisher, AgentRegistry.load(), CorpusService(database), HostLimits())
    writer, attempts = TaskWriter(KeptConnections(database, 1), database, "a worker"), Attempts()
    fence = d.Fence("a-run", 1, 1)
    planner = Planner(Hosting(*parts), writer, attempts)
    planned = await planner.plan(c.MakePlan(path, fence, auto_accept=True), Interruption())
    assert not isinstance(planned, Cut)
    hosting = OpenHosting(*parts)
    hosting.event = event
    recorder = StepRecorder(database, publisher)
    recorder.start()
    executor = BatchExecutor(hosting, writer, recorder, attempts, nobody_waits(), 50)
    request = c.ExecuteBatch(path, replace(fence, transition=3), str(planned.made.plan_hash))
    batch = await executor.run(request, Interruption(), planned.opened)
    await recorder.close()
    await writer.connections.close()
    assert (batch.outcome, batch.steps) == (c.FATAL, 0)
    assert batch.failure == c.AgentFailure("AgentRefused", retryable=False)
    assert types(await tasks.events(path))[-1] == "progress"
    assert not types(await tasks.events(path), "mine", "failed")
