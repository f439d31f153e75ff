import asyncio
import contextvars
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from conftest import until
from pavo.agents.hosts.agent_loop import EXIT_STALLED, AgentLoop, AtWork, at_work

marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker")


@pytest.fixture
def loop() -> Iterator[AgentLoop]:
    loop = AgentLoop(stall_seconds=60)
    loop.start()
    yield loop
    loop.stop()


async def test_runs_elsewhere_in_the_callers_context(loop: AgentLoop) -> None:
    marker.set("here")

    async def work() -> tuple[str, str]:
        await asyncio.sleep(0)
        return threading.current_thread().name, marker.get()

    assert await loop.run_on_agents_thread(work) == ("pavo-agents", "here")


async def test_passes_errors(loop: AgentLoop) -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await loop.run_on_agents_thread(work)


async def test_a_busy_step_does_not_hold_up_the_caller(loop: AgentLoop) -> None:
    async def busy() -> None:
        time.sleep(0.5)

    running = asyncio.create_task(loop.run_on_agents_thread(busy))
    turns = 0
    while not running.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 10


async def test_cancelling_waits_for_the_end(loop: AgentLoop) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)
            ended.set()

    running = asyncio.create_task(loop.run_on_agents_thread(work))
    await until(begun.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_result_in_spite_of_the_cancellation_arrives(loop: AgentLoop) -> None:
    begun = threading.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "stopped in order"
        return "not cancelled"

    running = asyncio.create_task(loop.run_on_agents_thread(work))
    await until(begun.is_set)
    running.cancel()
    assert await running == "stopped in order"


async def test_cancelling_at_once(loop: AgentLoop) -> None:
    async def work() -> None:
        await asyncio.sleep(3600)

    running = asyncio.create_task(loop.run_on_agents_thread(work))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_stop_ends_what_runs() -> None:
    loop = AgentLoop()
    loop.start()
    cleaned = threading.Event()
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.set()

    running = asyncio.create_task(loop.run_on_agents_thread(work))
    await until(begun.is_set)
    await asyncio.to_thread(loop.stop)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned.is_set()
    with pytest.raises(RuntimeError):
        await loop.run_on_agents_thread(work)


async def test_a_stall_is_reported_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    stalled = threading.Event()
    loop = AgentLoop(stall_seconds=0.5, on_stall=lambda _agent: stalled.set())
    loop.start()
    release = threading.Event()

    async def hang_here() -> None:
        release.wait(30)

    running = asyncio.create_task(loop.run_on_agents_thread(hang_here))
    await until(stalled.is_set)
    release.set()
    await running
    await asyncio.to_thread(loop.stop)
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "hang_here" in record.getMessage()


async def test_who_blocks_the_loop_is_warned_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    """Its own limit counts, and the one that ends the process is told whose fault it was."""
    blamed: list[AtWork | None] = []
    loop = AgentLoop(stall_seconds=60, warn_seconds=0.3, on_stall=blamed.append)
    loop.start()
    release = threading.Event()

    async def of_the_agent() -> None:
        release.wait(30)

    async def work(agent: AtWork) -> None:
        at_work.set(agent)
        await asyncio.gather(asyncio.create_task(of_the_agent()))

    agent = AtWork("1", "The agent one", 0.8)
    running = asyncio.create_task(loop.run_on_agents_thread(lambda: work(agent)))
    await until(lambda: blamed)
    release.set()
    await running
    await asyncio.to_thread(loop.stop)
    assert blamed == [agent]
    [warning] = [text for text in caplog.messages if "has blocked its event loop" in text]
    assert warning.startswith("The agent one has") and "asyncio.to_thread" in warning and "of_the_agent" in warning


async def test_a_busy_but_answering_loop_is_no_stall() -> None:
    stalled = threading.Event()
    loop = AgentLoop(stall_seconds=0.6, on_stall=lambda _agent: stalled.set())
    loop.start()

    async def work() -> None:
        for _ in range(20):
            time.sleep(0.1)
            await asyncio.sleep(0)

    await loop.run_on_agents_thread(work)
    await asyncio.to_thread(loop.stop)
    assert not stalled.is_set()


CODE = """
import asyncio, sys, time
from pavo.agents.hosts import agent_loop
def crash(loop, ended):
    loop.call_later(0.2, loop.stop)
    loop.run_forever()
    raise OSError("no loop any more")
if sys.argv[1] == "crash":
    agent_loop.run_until = crash
loop = agent_loop.AgentLoop(stall_seconds=1)
loop.start()
async def hang():
    if sys.argv[1] == "hang":
        time.sleep(60)
    print("running", flush=True)
    await asyncio.sleep(60)
try:
    asyncio.run(loop.run_on_agents_thread(hang))
except BaseException as error:  # its work is lost with the loop; what ends the process is the loop itself
    print(type(error).__name__, flush=True)
time.sleep(20)
"""


@pytest.mark.parametrize("how", ["hang", "crash"])
def test_the_process_ends_when_its_agents_hang(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, timeout=30)
    assert done.returncode == EXIT_STALLED
    assert "agents' event loop has" in done.stderr


async def test_what_agents_do_to_the_loop_does_not_end_it() -> None:
    stalled = threading.Event()
    loop = AgentLoop(on_stall=lambda _agent: stalled.set())
    loop.start()

    def leave(error: BaseException) -> None:
        raise error

    async def harm(do: Callable[[], object]) -> str:
        asyncio.get_running_loop().call_soon(do)
        await asyncio.sleep(0.01)
        return "went on"

    harms = [
        lambda: leave(SystemExit(3)),
        lambda: leave(KeyboardInterrupt()),
        lambda: asyncio.get_running_loop().stop(),
    ]
    answers = await asyncio.wait_for(
        asyncio.gather(*(loop.run_on_agents_thread(lambda do=do: harm(do)) for do in harms)), 10
    )
    assert answers == ["went on"] * 3
    await asyncio.to_thread(loop.stop)
    assert not stalled.is_set()


def test_a_pause_of_the_whole_process_is_no_stall() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE, "sleep"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(2)
            os.kill(process.pid, signal.SIGCONT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
        finally:
            process.kill()
