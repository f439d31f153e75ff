"""Background tasks end for certain."""

import asyncio

import pytest

from pavo.kit import cancellation as ending
from pavo.kit.cancellation import KeptRunning, end


async def stubborn(times: int) -> None:
    """Loses so many cancellations, as a library does that catches one at the wrong moment."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


async def failing() -> None:
    raise ValueError("its own")


async def test_a_lost_cancellation_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)
    tasks = [asyncio.create_task(stubborn(2)), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await asyncio.wait_for(end(*tasks, None), 5)
    assert tasks[0].cancelled() and tasks[1].done()


async def test_who_is_cancelled_meanwhile_ends_them_first() -> None:
    task = asyncio.create_task(stubborn(1))
    await asyncio.sleep(0)
    ends = asyncio.create_task(end(task))
    await asyncio.sleep(0)  # the first cancellation is lost
    assert not task.done()
    ends.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(ends, 5)
    assert task.cancelled()


async def until_begun(begun: list[int], times: int) -> None:
    async with asyncio.timeout(5):
        while len(begun) < times:
            await asyncio.sleep(0)


async def test_a_loop_begins_again_whoever_ended_it_but_its_owner() -> None:
    begun: list[int] = []

    async def run() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    kept = KeptRunning(run, "a loop")
    for times in (1, 2, 3):
        await until_begun(begun, times)
        for task in asyncio.all_tasks():
            if task.get_name() == "a loop":
                task.cancel()
    await until_begun(begun, 4)
    await kept.end()
    await asyncio.sleep(0)
    assert len(begun) == 4 and not [task for task in asyncio.all_tasks() if task.get_name() == "a loop"]


async def test_a_loop_that_fails_begins_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)
    begun: list[int] = []

    async def run() -> None:
        begun.append(1)
        await failing()

    kept = KeptRunning(run, "a loop")
    await until_begun(begun, 3)
    await kept.end()
    count = len(begun)
    await asyncio.sleep(0.03)  # longer than the pause
    assert len(begun) == count
