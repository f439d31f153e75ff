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
from pavo.tasks.work.slots import admission
from pavo.tasks.work.slots.admission import LONGEST_SECONDS, Admission, HandedBack
from pavo.tasks.work.slots.places import Places

ORGANISATION = uuid.uuid4()


class Rows:
    """The deaths of tasks, as PostgreSQL would tell them; each answer takes a turn of the loop."""

    def __init__(self) -> None:
        self.deaths: dict[uuid.UUID, int] = {}
        self.told: list[str | None] = []
        self.waiting: dict[uuid.UUID, str] = {}

    async def find(self, _writer: Any, task_id: uuid.UUID) -> Applicant:
        await asyncio.sleep(0)
        place = ("intern", ORGANISATION)
        waiting, workflow = self.waiting.get(task_id), f"workflow of {task_id}"
        return Applicant(task_id, *place, self.deaths[task_id], waiting, None, workflow, in_flight=False)

    async def note_worker(self, _writer: Any, _task_id: uuid.UUID) -> None:
        await asyncio.sleep(0)

    async def tell(self, _writer: Any, _task_id: uuid.UUID, waiting: str | None, _new: Any) -> tuple[()]:
        self.told.append(waiting)
        return ()


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    rows = Rows()
    monkeypatch.setattr(admissions, "apply", rows.find)
    for name in ("find", "note_worker", "tell"):
        monkeypatch.setattr(admissions, name, getattr(rows, name))
    return rows


class Publisher:
    def publish(self, _events: Any) -> None:
        """To nobody."""


def _admission(registry: Any) -> Admission:
    return Admission(cast(Any, None), cast(Any, Publisher()), registry)


async def test_two_that_ask_at_once_never_both_run_under_suspicion(rows: Rows) -> None:
    """The one under suspicion before them has recorded a step, so it keeps nobody waiting any more."""
    judge, over, inside = _admission(AgentRegistry.load()), asyncio.Event(), list[uuid.UUID]()

    async def attempt(task_id: uuid.UUID) -> None:
        async with judge.admitted(task_id, places=Places(10)):
            inside.append(task_id)
            await over.wait()

    first, *others = (uuid.uuid4() for _ in range(4))
    rows.deaths = dict.fromkeys([first, *others], 2)
    running = [asyncio.create_task(attempt(first))]
    while first not in inside:
        await asyncio.sleep(0.01)
    rows.deaths[first] = 0
    running += [asyncio.create_task(attempt(each)) for each in others]
    while len(inside) + sum(task.done() for task in running) < 4:
        await asyncio.sleep(0.01)
    assert len(inside) == 2
    over.set()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert sum(isinstance(end, HandedBack) for end in ends) == 2


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
