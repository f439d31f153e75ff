"""Agents that wait between two turns are closed when somebody else got on with their tasks, for no other reason."""

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pavo.kit.json_values import fingerprint
from pavo.tasks.sql.lease import Lease
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.slots import parked
from pavo.tasks.work.slots.parked import ParkedAgent, ParkedAgents

CHECKPOINT = {"n": 3}


class Host:
    """An agent that stays open until it is closed."""

    def __init__(self) -> None:
        self.closed = False

    def is_open(self) -> bool:
        return not self.closed

    async def close(self, *, force: bool = False) -> None:
        self.closed = True


def agent_of(epoch: int) -> tuple[Host, ParkedAgent]:
    host = Host()
    about = {"generation": 1, "plan_hash": "h", "epoch": epoch, "step": 3, "checkpoint": fingerprint(CHECKPOINT)}
    return host, ParkedAgent(cast(Any, host), asyncio.Event(), HeldEpoch(epoch), **cast(Any, about))


@dataclass
class Rows:
    """What PostgreSQL answers; it may take its time."""

    epoch: int
    looks: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answering.set()

    async def epochs(self, task_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, int]:
        epoch = self.epoch
        self.looks += 1
        await self.answering.wait()
        return dict.fromkeys(task_ids, epoch)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked, "LOOK_SECONDS", 0.01)


async def test_the_attempt_that_has_just_opened_its_lease_finds_the_agent() -> None:
    """Between its commit and its asking for the agent a look sees the new epoch, and nobody has got on elsewhere."""
    task_id, rows, under_way = uuid.uuid4(), Rows(epoch=5), set[uuid.UUID]()
    agents = ParkedAgents(2, rows.epochs, lambda each: each in under_way)
    watching = asyncio.create_task(agents.watch())
    host, agent = agent_of(5)
    agents.park(task_id, agent)
    under_way.add(task_id)
    rows.epoch = 6
    seen = rows.looks
    await until(lambda: rows.looks >= seen + 3)
    lease = Lease(task_id, 6, 3, CHECKPOINT, 0, took_over=False)
    assert await agents.take(lease, 1, "h") is agent and not host.closed
    watching.cancel()


async def test_a_late_answer_says_nothing_of_what_was_parked_since() -> None:
    task_id, rows = uuid.uuid4(), Rows(epoch=5)
    agents = ParkedAgents(2, rows.epochs, lambda _: False)
    rows.answering.clear()
    first, agent = agent_of(5)
    agents.park(task_id, agent)
    watching = asyncio.create_task(agents.watch())
    await until(lambda: rows.looks == 1)
    lease = Lease(task_id, 6, 3, CHECKPOINT, 0, took_over=False)
    assert await agents.take(lease, 1, "h") is agent
    again, parked_again = agent_of(6)
    agents.park(task_id, parked_again)
    rows.epoch = 6
    rows.answering.set()
    await until(lambda: rows.looks >= 4)
    assert not again.closed and not first.closed
    watching.cancel()


async def test_an_agent_whose_task_goes_on_elsewhere_is_closed() -> None:
    rows = Rows(epoch=5)
    agents = ParkedAgents(2, rows.epochs, lambda _: False)
    watching = asyncio.create_task(agents.watch())
    host, agent = agent_of(5)
    agents.park(uuid.uuid4(), agent)
    seen = rows.looks
    await until(lambda: rows.looks >= seen + 3)
    assert not host.closed
    rows.epoch = 7
    await until(lambda: host.closed)
    watching.cancel()
