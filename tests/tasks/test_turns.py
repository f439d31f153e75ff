"""Whose turn is over: as many as wait, wherever they wait."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest_asyncio

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.kit.cancellation import end
from pavo.tasks.work.slots.turns import Turns
from tests.driving import until

LONG_AGO = time.monotonic() - 60


@pytest_asyncio.fixture
async def loop() -> AsyncIterator[AgentLoop]:
    running = AgentLoop()
    running.start()
    yield running
    await asyncio.to_thread(running.stop)


async def given_up(turns: Turns, loop: AgentLoop) -> bool:
    """Whether an attempt of long ago gives its slot up now."""

    async def ask() -> bool:
        return turns.is_over(LONG_AGO)

    return await loop.run_on_agents_thread(ask)


async def test_who_was_handed_back_counts_although_slots_are_free(loop: AgentLoop) -> None:
    async def nobody() -> int:
        raise AssertionError("Slots are free: none waits for one.")

    turns = Turns(2, 0.05, nobody, lambda: 1, loop)
    watching = asyncio.ensure_future(turns.watch())
    with turns.take():
        await until(lambda: given_up(turns, loop), seconds=5)
    await end(watching)


async def test_who_is_queued_counts_where_all_slots_are_in_use(loop: AgentLoop) -> None:
    asked = 0

    async def one() -> int:
        nonlocal asked
        asked += 1
        return 1

    turns = Turns(1, 0.05, one, lambda: 0, loop)
    watching = asyncio.ensure_future(turns.watch())
    with turns.take():
        await until(lambda: given_up(turns, loop), seconds=5)
    assert asked
    await end(watching)
