"""Whom a worker takes, and when: what depends on the order in which attempts ask."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pavo.agents.registry import AgentRegistry
from pavo.tasks.sql import admissions
from pavo.tasks.sql.admissions import Applicant
from pavo.tasks.work.slots import admission
from pavo.tasks.work.slots.admission import Admission, HandedBack
from pavo.tasks.work.slots.places import Places

ORGANISATION = uuid.uuid4()


class Rows:
    """The deaths of tasks, as PostgreSQL would tell them; each answer takes a turn of the loop."""

    def __init__(self) -> None:
        self.deaths: dict[uuid.UUID, int] = {}
        self.told: list[str | None] = []

    async def find(self, _writer: Any, task_id: uuid.UUID) -> Applicant:
        await asyncio.sleep(0)
        place = ("intern", ORGANISATION)
        return Applicant(task_id, *place, self.deaths[task_id], None, None, f"workflow of {task_id}", in_flight=False)

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
