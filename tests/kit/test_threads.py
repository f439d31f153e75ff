"""Calls on threads, of which some hang."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pavo.kit.threads.by_owner import ThreadsByOwner
from pavo.kit.threads.calls import call_in_thread

owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")
MOST = 3


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_an_owner_whose_calls_hang_holds_up_itself_alone(go: threading.Event) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadsByOwner(owner.get, MOST))
    inside = [threading.Event() for _ in range(MOST)]

    def hang(begun: threading.Event) -> str:
        begun.set()
        go.wait()
        return owner.get()

    owner.set("hangs")
    hanging = [asyncio.create_task(asyncio.to_thread(hang, each)) for each in inside]
    own = asyncio.create_task(asyncio.to_thread(owner.get))
    dropped = asyncio.create_task(asyncio.to_thread(pytest.fail, "It was cancelled before it began."))
    async with asyncio.timeout(10):
        for each in inside:
            await call_in_thread("apart", each.wait)
        owner.set("neighbour")
        assert (
            await asyncio.gather(*(asyncio.to_thread(owner.get) for _ in range(2 * MOST))) == ["neighbour"] * 2 * MOST
        )
        assert not own.done()
        dropped.cancel()
        go.set()
        assert await asyncio.gather(*hanging, own) == ["hangs"] * (MOST + 1)


def test_its_threads_end_with_their_work() -> None:
    executor = ThreadsByOwner(owner.get, MOST)
    before = set(threading.enumerate())
    assert sorted(executor.map(abs, range(-50, 0))) == list(range(1, 51))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, 1)


async def test_errors_arrive_whatever_they_are() -> None:
    class Odd(BaseException):
        pass

    def fail() -> None:
        raise Odd("of its own")

    asyncio.get_running_loop().set_default_executor(ThreadsByOwner(owner.get, MOST))
    with pytest.raises(Odd):
        await call_in_thread("fails", fail)
    with pytest.raises(Odd):
        await asyncio.to_thread(fail)


_LEAVES = """
import asyncio, threading, uvloop
from pavo.kit.threads.by_owner import ThreadsByOwner
from pavo.kit.threads.calls import call_in_thread

async def main():
    asyncio.get_running_loop().set_default_executor(ThreadsByOwner(lambda: None, 3))
    calls = [asyncio.to_thread(threading.Event().wait) for _ in range(5)]
    calls.append(call_in_thread("apart", threading.Event().wait))
    await asyncio.wait([asyncio.ensure_future(call) for call in calls], timeout=0.2)

uvloop.new_event_loop().run_until_complete(main())
"""


def test_what_hangs_keeps_no_process_from_ending() -> None:
    ended = subprocess.run([sys.executable, "-c", _LEAVES], capture_output=True, timeout=30, check=False)
    assert ended.returncode == 0
