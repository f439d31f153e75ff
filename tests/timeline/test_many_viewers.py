"""Thousands of viewers at once: they share reads, and are woken a few at a time."""

import asyncio
import uuid

import pytest

from pavo.errors import Unavailable
from pavo.timeline.shared_reads import AT_ONCE, TOGETHER, Page, SharedReads
from pavo.timeline.viewers import Budget, Viewer
from pavo.timeline.waking import Waking
from tests.driving import until


class Reads:
    """Reads that end when they are let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self, timeline_id: uuid.UUID, after: int) -> Page:
        self.begun.append(after)
        await self.go.wait()
        if self.fails:
            raise Unavailable("PostgreSQL is away.", dependency="postgres")
        return Page([(after + 1, b"{}")], None)


async def busy(reads: Reads, shared: SharedReads) -> list[asyncio.Task[Page]]:
    """All places are taken."""
    held = [asyncio.create_task(shared.page(uuid.uuid4(), -1)) for _ in range(AT_ONCE)]

    async def taken() -> bool:
        return len(reads.begun) == AT_ONCE

    await until(taken)
    reads.begun.clear()
    return held


async def test_who_asks_before_a_read_begins_shares_it() -> None:
    reads, timeline_id = Reads(), uuid.uuid4()
    shared = SharedReads(reads)
    held = await busy(reads, shared)
    asking = [asyncio.create_task(shared.page(timeline_id, 7)) for _ in range(TOGETHER + 1)]
    elsewhere = asyncio.create_task(shared.page(timeline_id, 8))
    await asyncio.sleep(0)
    left = asking.pop(0)
    left.cancel()
    reads.go.set()
    pages = await asyncio.gather(*asking, elsewhere)
    await asyncio.gather(*held)
    assert left.cancelled() and reads.begun == [7, 7, 8], "one for each hundred, one for another place"
    assert len({id(page.events[0][1]) for page in pages}) <= 3 and len({id(page) for page in pages}) == 3


async def test_a_read_that_has_begun_is_not_shared() -> None:
    """It may have looked before what the second knows of was committed."""
    reads, timeline_id = Reads(), uuid.uuid4()
    shared = SharedReads(reads)
    first = asyncio.create_task(shared.page(timeline_id, 0))

    async def begun() -> bool:
        return bool(reads.begun)

    await until(begun)
    second = asyncio.create_task(shared.page(timeline_id, 0))
    reads.go.set()
    assert await first is not await second and reads.begun == [0, 0]


async def test_all_who_share_a_read_hear_of_its_failure_and_the_next_is_another() -> None:
    reads, timeline_id = Reads(), uuid.uuid4()
    reads.fails = True
    shared = SharedReads(reads)
    asking = [asyncio.create_task(shared.page(timeline_id, 0)) for _ in range(3)]
    reads.go.set()
    assert all(isinstance(each, Unavailable) for each in await asyncio.gather(*asking, return_exceptions=True))
    reads.fails = False
    assert (await shared.page(timeline_id, 0)).events == [(1, b"{}")]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_large_group_is_woken_a_few_at_a_time_and_a_small_one_at_once(times: int) -> None:
    waking, budget = Waking(10), Budget(1_000, 1_000)
    many, few = ([Viewer(uuid.uuid4(), 0, budget) for _ in range(count)] for count in (95, 10))
    for _ in range(times):
        waking.wake("many", many)
    assert sum(viewer.wake.is_set() for viewer in many) == 10
    waking.wake("few", few)
    assert all(viewer.wake.is_set() for viewer in few), "nobody waits for the rest of another timeline"
    turns = 0
    while not all(viewer.wake.is_set() for viewer in many):
        before = sum(viewer.wake.is_set() for viewer in many)
        await asyncio.sleep(0)
        assert sum(viewer.wake.is_set() for viewer in many) - before <= 10
        turns += 1
    assert turns <= 20
