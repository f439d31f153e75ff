"""Pavo's events and those of agents cannot be taken for each other."""

import inspect
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.agents.checks import checked_step
from pavo.agents.contract import PAVO_EVENT_TYPES, RESERVED_EVENT_KEYS, Event, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import AgentRefused
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher
from tests.driving import QUICK, Tasks, types
from tests.tasks.slots import nobody_waits

EXAMPLES: dict[type, Any] = {str: "x", int: 1, uuid.UUID: uuid.uuid4(), bool: True, datetime: datetime.now(UTC)}


def of_pavo() -> list[NewEvent]:
    """What each function of `events` makes."""
    found: list[NewEvent] = []
    for name, make in inspect.getmembers(events, inspect.isfunction):
        if make.__module__ != events.__name__ or name == events.of_agent.__name__ or name.startswith("_"):
            continue
        if inspect.signature(make).return_annotation is not NewEvent:
            continue
        given = {
            "name": d.DONE,
            "titles": ["x"],
            "receipt": {},
            "error": {},
            "changed": ["prompt"],
            "options": {"a": 1},
        }
        arguments = {
            parameter.name: given.get(parameter.name, EXAMPLES.get(parameter.annotation, 1))
            for parameter in inspect.signature(make).parameters.values()
            if parameter.default is parameter.empty
        }
        found.append(make(**arguments))
    return found


def test_every_name_is_defined_once_and_used() -> None:
    assert sorted(event.type for event in of_pavo()) == sorted(PAVO_EVENT_TYPES)


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
