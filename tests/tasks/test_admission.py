"""Whom a worker takes, and when: what depends on the order in which attempts ask."""

import asyncio
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from pavo.agents.registry import AgentRegistry
from pavo.tasks.sql import admissions
from pavo.tasks.sql.admissions import Applicant
from pavo.tasks.work.attempt_runner import _handed_back  # pyright: ignore[reportPrivateUsage]
from pavo.tasks.work.interruption import Interruption
from pavo.tasks.work.slots import admission, suspects
from pavo.tasks.work.slots.admission import LONGEST_SECONDS, Admission
from pavo.tasks.work.slots.handing_back import HandedBack
from pavo.tasks.work.slots.places import Places, WorkerPlaces

ORGANISATION = uuid.uuid4()


class Rows:
    """What counts against tasks, as PostgreSQL would tell it; each answer takes a turn of the loop."""

    def __init__(self) -> None:
        self.deaths: dict[uuid.UUID, int] = {}
        self.ends: dict[uuid.UUID, int] = {}
        self.told: list[str | None] = []
        self.waiting: dict[uuid.UUID, str] = {}
        self.written: list[tuple[str, uuid.UUID]] = []
        """Who began alone, and whose turn ended."""

    async def find(self, _writer: Any, task_id: uuid.UUID) -> Applicant:
        await asyncio.sleep(0)
        place = ("intern", ORGANISATION)
        waiting, workflow = self.waiting.get(task_id), f"workflow of {task_id}"
        counted = {"deaths": self.deaths[task_id], "ends": self.ends.get(task_id, 0)}
        return Applicant(
            task_id, *place, waiting=waiting, worker=None, workflow_id=workflow, in_flight=False, **counted
        )

    async def note_worker(self, _writer: Any, task_id: uuid.UUID, *, alone: bool) -> None:
        await asyncio.sleep(0)
        if alone:
            self.written.append(("alone", task_id))

    async def end_turn(self, _writer: Any, task_id: uuid.UUID) -> None:
        await asyncio.sleep(0)
        self.written.append(("over", task_id))

    async def tell(self, _writer: Any, _task_id: uuid.UUID, waiting: str | None, _new: Any) -> tuple[()]:
        self.told.append(waiting)
        return ()


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    rows = Rows()
    monkeypatch.setattr(admissions, "apply", rows.find)
    for name in ("find", "note_worker", "end_turn", "tell"):
        monkeypatch.setattr(admissions, name, getattr(rows, name))
    return rows


class Publisher:
    def publish(self, _events: Any) -> None:
        """To nobody."""


def _admission(registry: Any, **more: Any) -> Admission:
    return Admission(cast(Any, None), cast(Any, Publisher()), registry, **more)


class Running:
    """Attempts that last until they are let go."""

    def __init__(self, registry: Any) -> None:
        self._judge = _admission(registry, clock=lambda: self._now)
        self._now = 1_000.0
        self.inside: list[uuid.UUID] = []
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._over: dict[uuid.UUID, asyncio.Event] = {}

    def later(self, seconds: float) -> None:
        self._now += seconds

    async def _attempt(self, task_id: uuid.UUID) -> None:
        async with self._judge.admitted(task_id, places=Places(10)):
            self.inside.append(task_id)
            await self._over[task_id].wait()
        self.inside.remove(task_id)

    async def ask(self, *task_ids: uuid.UUID) -> list[str]:
        """What each is told, at once: "in", or what it waits for."""
        for task_id in task_ids:
            self._over[task_id] = asyncio.Event()
            self._tasks[task_id] = asyncio.create_task(self._attempt(task_id))
        while not all(each in self.inside or self._tasks[each].done() for each in task_ids):
            await asyncio.sleep(0.001)
        return ["in" if each in self.inside else str(self._tasks[each].exception()) for each in task_ids]

    async def end(self, task_id: uuid.UUID) -> None:
        self._over[task_id].set()
        await self._tasks[task_id]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    """Of agents that all run inside of the worker."""
    registry = AgentRegistry.load()
    card = replace(registry.card("intern"), isolation="worker")
    monkeypatch.setattr(registry, "card", lambda _name: card)
    return Running(registry)


async def test_who_is_under_suspicion_runs_alone(rows: Rows, running: Running) -> None:
    """Nobody beside it, new ones neither: else what ends the worker is nobody's for certain."""
    suspect, other, fresh = (uuid.uuid4() for _ in range(3))
    rows.deaths = {suspect: 2, other: 2, fresh: 0}
    assert await running.ask(suspect) == ["in"] and rows.written == [("alone", suspect)]
    for told in await running.ask(other, fresh):
        assert told.startswith("its turn: workers died")
    rows.deaths[suspect] = 0  # it has recorded a step
    assert (await running.ask(fresh))[0].startswith("its turn"), "a turn lasts for a while in any case"
    running.later(suspects.SHORTEST_SECONDS)
    assert await running.ask(fresh) == ["in"]
    assert rows.written[1:] == [("over", suspect)], "written before anybody runs beside it"
    assert (await running.ask(other))[0].startswith("its turn: others run")


async def test_two_that_ask_at_once_never_both_run_under_suspicion(rows: Rows, running: Running) -> None:
    several = [uuid.uuid4() for _ in range(4)]
    rows.deaths = dict.fromkeys(several, 2)
    told = await running.ask(*several)
    assert told.count("in") == 1 and len(running.inside) == 1
    await running.end(running.inside[0])
    assert (await running.ask(*several)).count("in") == 1


async def test_a_turn_whose_step_takes_long_ends_too(rows: Rows, running: Running) -> None:
    suspect, fresh = uuid.uuid4(), uuid.uuid4()
    rows.deaths = {suspect: 2, fresh: 0}
    await running.ask(suspect)
    running.later(suspects.LONGEST_SECONDS)
    assert await running.ask(fresh) == ["in"] and rows.written[-1] == ("over", suspect)


async def test_who_waits_to_run_alone_is_taken_at_last(rows: Rows, running: Running) -> None:
    """Beside the others, so that what ends the worker counts for nobody any further."""
    fresh, suspect = uuid.uuid4(), uuid.uuid4()
    rows.deaths = {fresh: 0, suspect: 2}
    await running.ask(fresh)
    assert (await running.ask(suspect))[0].startswith("its turn: others run")
    running.later(suspects.PATIENCE_SECONDS)
    assert await running.ask(suspect) == ["in"] and rows.written == []


async def test_turns_get_longer_for_who_ended_workers_after_them(rows: Rows, running: Running) -> None:
    crawler, fresh = uuid.uuid4(), uuid.uuid4()
    rows.deaths, rows.ends = {crawler: 0, fresh: 0}, {crawler: 4}
    await running.ask(crawler)
    for seconds, told in ((3 * suspects.SHORTEST_SECONDS, "its turn"), (suspects.SHORTEST_SECONDS, "in")):
        running.later(seconds)
        assert (await running.ask(fresh))[0].startswith(told)


class SlowRegistry:
    """Has one agent whose import takes as long as the test wants."""

    def __init__(self) -> None:
        self.imported = threading.Event()
        self.begun = 0
        self._agents = AgentRegistry.load()

    def names(self) -> Any:
        return self._agents.names()

    def card(self, name: str) -> Any:
        if not self.imported.is_set():
            self.begun += 1
            self.imported.wait()
        return self._agents.card(name)


@pytest.fixture
def slow() -> Iterator[SlowRegistry]:
    registry = SlowRegistry()
    yield registry
    registry.imported.set()


async def test_an_import_that_takes_for_ever_keeps_no_attempt(
    rows: Rows, slow: SlowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "IMPORT_SECONDS", 0.1)
    judge, task_id = _admission(slow), uuid.uuid4()
    rows.deaths = {task_id: 0}
    for _ in range(3):
        with pytest.raises(HandedBack, match="a worker with agent 'intern'"):
            async with asyncio.timeout(5), judge.admitted(task_id, places=Places(10)):
                raise AssertionError("it was taken")
    assert slow.begun == 1 and "importing it here takes long" in (rows.told[-1] or "")
    slow.imported.set()
    monkeypatch.setattr(admission, "IMPORT_SECONDS", 10)
    async with asyncio.timeout(15), judge.admitted(task_id, places=Places(10)):
        pass


async def test_a_place_that_is_given_back_goes_to_one_that_still_waits(rows: Rows) -> None:
    woken: list[str] = []
    judge = Admission(cast(Any, None), cast(Any, Publisher()), AgentRegistry.load(), woken.append)
    places, (first, stopped, third) = Places(1), (uuid.uuid4() for _ in range(3))
    rows.deaths = dict.fromkeys([first, stopped, third], 0)
    async with judge.admitted(first, places):
        for task_id in (stopped, third):
            with pytest.raises(HandedBack, match="a place"):
                async with judge.admitted(task_id, places):
                    raise AssertionError("it was taken")
        rows.waiting = {third: "a place"}
    assert woken == [f"workflow of {third}"]


async def test_a_worker_with_one_place_executes_and_plans_one_at_a_time(rows: Rows) -> None:
    woken: list[str] = []
    registry = AgentRegistry.load()
    judge = Admission(cast(Any, None), cast(Any, Publisher()), registry, woken.append, in_all=WorkerPlaces(1))
    tasks, plans, (first, second, third) = Places(1), Places(1, "plans"), (uuid.uuid4() for _ in range(3))
    rows.deaths = dict.fromkeys([first, second, third], 0)

    async def refused(task_id: uuid.UUID, places: Places, why: str) -> None:
        with pytest.raises(HandedBack, match=why):
            async with judge.admitted(task_id, places):
                raise AssertionError("it was taken")

    async with judge.admitted(first, tasks):
        await refused(second, plans, "as many activities at once as it may")
        await refused(third, tasks, "as many activities at once as it may")
        assert not plans.waiting() and not tasks.waiting()
        rows.waiting = {second: "a worker", third: "a worker"}
    assert woken == [f"workflow of {second}"]
    await refused(third, tasks, "as many")
    async with judge.admitted(second, plans):
        pass
    assert woken == [f"workflow of {second}", f"workflow of {third}"]
    async with judge.admitted(third, tasks):
        pass


async def test_who_finds_no_place_of_its_agent_gives_that_of_the_worker_to_the_next(rows: Rows) -> None:
    woken: list[str] = []
    in_all = WorkerPlaces(2)
    judge = Admission(cast(Any, None), cast(Any, Publisher()), AgentRegistry.load(), woken.append, in_all=in_all)
    tasks, plans, (first, second, third) = Places(1), Places(1, "plans"), (uuid.uuid4() for _ in range(3))
    rows.deaths = dict.fromkeys([first, second, third], 0)
    async with judge.admitted(first, tasks):
        with pytest.raises(HandedBack, match="the agent's other tasks"):
            async with judge.admitted(second, tasks):
                raise AssertionError("it was taken")
        async with judge.admitted(third, plans):
            pass


@pytest.mark.parametrize(("longest", "last"), [(LONGEST_SECONDS, 30.0), (2.0, 2.0)])
async def test_each_time_it_is_offered_later(longest: float, last: float) -> None:
    """As Temporal is told it by the attempts, one after the other."""
    delays: list[float] = []
    details: Sequence[Any] = ()
    for attempt in range(1, 12):
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt, heartbeat_details=details)
        beats: list[Sequence[Any]] = []
        environment.on_heartbeat = lambda *beat, beats=beats: beats.append(beat)
        error = environment.run(_handed_back, HandedBack("a worker", longest), Interruption())
        assert isinstance(error, ApplicationError) and error.next_retry_delay is not None
        delays.append(error.next_retry_delay.total_seconds())
        details = beats[-1]
    assert delays == [min(0.5 * 2**number, last) for number in range(11)]
