"""Attempts at planning that are repeated or come too late: what they tell viewers is told once, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.registry import AgentRegistry
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.errors import Superseded
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.timeline.publish import Publisher
from tests.driving import Tasks

FENCE = d.Fence("a-run-of-temporal", 1, 1)


class HeldHosting(Hosting):
    """Gathers context as always, and then waits to be let go on."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.gathered, self.go_on = asyncio.Event(), asyncio.Event()

    async def gather(self, work: Assignment) -> Sequence[Any]:
        hits = await super().gather(work)
        self.gathered.set()
        await self.go_on.wait()
        return hits


class Workshop:
    """Planners as two workers would have them."""

    def __init__(self, database: Database, connections: KeptConnections, publisher: Publisher) -> None:
        parts = (database, publisher, AgentRegistry.load(), CorpusService(database), HostLimits())
        self.hosting, self.held = Hosting(*parts), HeldHosting(*parts)
        self.recorder = TransitionRecorder(database, publisher)
        self._writer = TaskWriter(connections, database, "a worker")

    async def plan(self, task_id: str, hosting: Hosting, interruption: Interruption | None = None) -> Any:
        planner = Planner(hosting, self._writer, Attempts())
        return await planner.plan(c.MakePlan(task_id, FENCE), interruption or Interruption())


@pytest_asyncio.fixture
async def workshop(settings: Settings, database: Database) -> AsyncIterator[Workshop]:
    redis, connections = Redis.from_url(settings.redis.url), KeptConnections(database, 2)
    yield Workshop(database, connections, Publisher(redis))
    await connections.close()
    await redis.aclose()


async def types(tasks: Tasks, task_id: str) -> list[str]:
    return [event["type"] for event in await tasks.events(task_id)]


async def test_context_is_told_once_however_often_planning_is_tried(tasks: Tasks, workshop: Workshop) -> None:
    task_id = await tasks.create({"plan_seconds": 0}, agent_type="tribal_search")
    cut = Interruption()
    first = asyncio.ensure_future(workshop.plan(task_id, workshop.held, cut))
    await workshop.held.gathered.wait()
    second = await workshop.plan(task_id, workshop.hosting)
    assert second.made.plan_hash
    assert await types(tasks, task_id) == ["stage", "stage", "context"]

    workshop.held.go_on.set()
    third = await first
    assert not isinstance(third, Cut) and third.made.plan_hash == second.made.plan_hash
    assert await types(tasks, task_id) == ["stage", "stage", "context"]


async def test_an_attempt_that_comes_after_a_stop_tells_nothing(tasks: Tasks, workshop: Workshop) -> None:
    task_id = await tasks.create({"plan_seconds": 0}, agent_type="tribal_search")
    late = asyncio.ensure_future(workshop.plan(task_id, workshop.held))
    await workshop.held.gathered.wait()
    stop = c.RecordStop(task_id, d.Fence(FENCE.run_id, 1, 2), step_cut=False)
    await workshop.recorder.record_stop(stop)
    before = await tasks.events(task_id)
    assert before[-1]["stage"] == d.STOPPED

    workshop.held.go_on.set()
    with pytest.raises(Superseded):
        await late
    assert await tasks.events(task_id) == before


async def test_a_failure_of_which_nothing_was_kept_is_shown_nevertheless(tasks: Tasks, workshop: Workshop) -> None:
    """As after an update, when the attempt was still of the version before."""
    task_id = await tasks.create({"plan_seconds": 0})
    failure = c.AgentFailure("AgentRefused", retryable=False)
    await workshop.recorder.record_failure(c.RecordFailure(task_id, FENCE, failure, 0))
    task = await tasks.get(task_id)
    assert (task["stage"], task["error"]["type"], task["error"]["step"]) == ("FAILED", "AgentRefused", None)
    assert task["error"]["cause"] and task["error"]["remedy"]
