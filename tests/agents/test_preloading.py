"""Isolated agents begin from a preloaded process; whatever becomes of it, none is left behind and none is blamed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sample_agents import Descendants, Faulty, Sample

from conftest import LIMITS, PLAN, alive, context, make_host, until
from pavo.agents.contract import Agent
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.preloading import POSSIBLE, Preloading
from pavo.agents.hosts.process_host import ProcessHost
from pavo.errors import AgentDied, AgentError, Unavailable

pytestmark = [pytest.mark.fault, pytest.mark.skipif(not POSSIBLE, reason="This system has no pidfds.")]


@pytest.fixture
async def preloading() -> AsyncIterator[Preloading]:
    preloading = Preloading(memory_mb=LIMITS.memory_mb, start_seconds=30)
    yield preloading
    await preloading.close()


CROWD = replace(LIMITS, start_seconds=120, silence_seconds=60)
"""Of a hundred processes on a busy machine each waits for its turn."""
END_SECONDS = 5.0
"""A machine that does nothing else takes less than one; what waits for a limit here, ten or more."""


@contextlib.asynccontextmanager
async def hosted(
    preloading: Preloading, agent: type[Agent], limits: HostLimits = LIMITS, **options: object
) -> AsyncGenerator[AgentHost]:
    host = make_host("process", agent, context(**options), limits, preloading)
    try:
        yield host
    finally:
        await host.close()


async def pids_of(host: AgentHost) -> dict[str, int]:
    await host.open(PLAN, None)
    step = await host.next_step()
    assert step is not None
    return step.checkpoint


async def test_the_second_agent_begins_without_an_import(preloading: Preloading) -> None:
    async with hosted(preloading, Descendants) as first, hosted(preloading, Descendants) as second:
        pids = [await pids_of(first), await pids_of(second)]
        (preloaded,) = preloading.pids()
        assert [psutil.Process(each["pid"]).ppid() for each in pids] == [preloaded] * 2
        await second.close()
        await until(lambda: not any(map(alive, pids[1].values())))
        assert all(map(alive, pids[0].values()))


async def test_what_is_slow_to_import_delays_no_later_agent(
    preloading: Preloading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m bench --only j` measures it in a whole stack."""
    heavy = "import time\nfrom sample_agents import Sample\ntime.sleep(3)\nclass Heavy(Sample):\n    pass\n"
    (tmp_path / "slow_to_import.py").write_text(heavy)
    monkeypatch.syspath_prepend(str(tmp_path))
    took: list[float] = []
    for _ in range(2):
        began = time.monotonic()
        host = ProcessHost("slow_to_import:Heavy", context(n=1), LIMITS, starter=preloading)
        await host.open(PLAN, None)
        assert await host.next_step() is not None
        took.append(time.monotonic() - began)
        await host.close()
    assert took[0] > 3 > took[1]


async def test_a_hundred_at_once(preloading: Preloading) -> None:
    async def life() -> int:
        async with hosted(preloading, Sample, CROWD, n=2) as host:
            await host.open(PLAN, None)
            count = 0
            while await host.next_step() is not None:
                count += 1
            return count

    assert await asyncio.gather(*(life() for _ in range(100))) == [2] * 100
    (preloaded,) = preloading.pids()
    await until(lambda: psutil.Process(preloaded).children() == [])


async def test_a_hundred_deaths_at_once_are_all_told(preloading: Preloading) -> None:
    async def death() -> str:
        async with hosted(preloading, Faulty, CROWD, what="exit") as host:
            await host.open(PLAN, None)
            await host.next_step()
            with pytest.raises(AgentDied) as caught:
                await host.next_step()
            return caught.value.detail

    assert await asyncio.gather(*(death() for _ in range(100))) == ["exit code 3"] * 100


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_its_death_takes_its_children_along_and_blames_no_agent(
    preloading: Preloading, number: signal.Signals
) -> None:
    async with hosted(preloading, Descendants) as host:
        pids = await pids_of(host)
        pending = asyncio.create_task(host.next_step())
        (preloaded,) = preloading.pids()
        began = time.monotonic()
        os.kill(preloaded, number)
        with pytest.raises(Unavailable, match="began from was lost"):
            await pending
        await until(lambda: not any(alive(pid) for pid in (*pids.values(), preloaded)))
        assert time.monotonic() - began < END_SECONDS
    async with hosted(preloading, Sample, n=1) as host:
        await host.open(PLAN, None)
        assert await host.next_step() is not None
        assert preloaded not in preloading.pids() and len(preloading.pids()) == 1


async def test_a_process_that_is_lost_again_and_again_is_done_without(
    preloading: Preloading, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        async with hosted(preloading, Sample, n=1) as host:
            await host.open(PLAN, None)
            assert await host.next_step() is not None
            for pid in preloading.pids():
                os.kill(pid, signal.SIGKILL)
                await until(lambda: preloading.pids() == [])
    assert "was lost again and again" in caplog.text


async def test_one_that_is_paused_keeps_nobody_waiting(preloading: Preloading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pavo.agents.hosts.preloaded_process._ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("pavo.agents.hosts.preloaded_process._REPORT_SECONDS", 0.5)
    async with hosted(preloading, Descendants) as before:
        pids = await pids_of(before)
        (preloaded,) = preloading.pids()
        os.kill(preloaded, signal.SIGSTOP)
        async with hosted(preloading, Sample, n=1) as after:
            await after.open(PLAN, None)
            assert await after.next_step() is not None
        # What it cannot reap ends all the same, with all that it started; how it ended, nobody can tell.
        os.kill(pids["pid"], signal.SIGKILL)
        with pytest.raises(Unavailable, match="is not known"):
            await before.next_step()
        await until(lambda: not any(map(alive, pids.values())))


WORKER = """
import asyncio, json, sys
sys.path.insert(0, {tests!r})
from conftest import LIMITS, PLAN, context, make_host
from pavo.agents.hosts.preloading import Preloading
from sample_agents import Descendants

async def main():
    preloading = Preloading(memory_mb=256)
    hosts = [make_host("process", Descendants, context(busy=n % 2 == 1), LIMITS, preloading) for n in range(4)]
    pids = list(preloading.pids())
    for host in hosts:
        await host.open(PLAN, None)
        step = await host.next_step()
        pids += step.checkpoint.values()
    pending = [asyncio.ensure_future(host.next_step()) for host in hosts]
    await asyncio.sleep(0.1)
    print(json.dumps(pids + list(preloading.pids())), flush=True)
    await asyncio.wait(pending)

asyncio.run(main())
"""


@pytest.mark.parametrize("paused", [False, True])
async def test_a_killed_worker_takes_everything_along_at_once(paused: bool) -> None:
    code = WORKER.format(tests=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        pids = eval(await asyncio.to_thread(worker.stdout.readline))
        assert len(pids) == 13 and all(alive(pid) for pid in pids)
        if paused:  # it reads nothing any more; it is killed all the same
            worker.send_signal(signal.SIGSTOP)
        worker.kill()
        began = time.monotonic()
    await until(lambda: not any(alive(pid) for pid in pids))
    assert time.monotonic() - began < END_SECONDS


PRELOADED_ALONE = "import os, sys, time\nif 'preloaded_program' in sys.argv[0]:"
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True, name='busy').start()"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (THREAD, "threads are left after the import: busy"),
        (f"{PRELOADED_ALONE} os._exit(3)", "did not come to its end"),
        (f"{PRELOADED_ALONE} time.sleep(3600)", "did not come to its end"),
    ],
)
async def test_what_cannot_be_preloaded_begins_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: str, reason: str
) -> None:
    (tmp_path / "unusual_agent.py").write_text(f"{module}\nfrom sample_agents import Sample\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    preloading = Preloading(memory_mb=256, start_seconds=2)
    host = ProcessHost("unusual_agent:Sample", context(n=1), LIMITS, starter=preloading)
    try:
        await host.open(PLAN, None)
        assert await host.next_step() is not None
        assert preloading.pids() == []
        assert reason in caplog.text
    finally:
        await host.close()
        await preloading.close()


async def test_code_that_cannot_be_imported_is_the_agents_error(preloading: Preloading) -> None:
    for _ in range(2):
        host = ProcessHost("no_such_module:X", context(), LIMITS, starter=preloading)
        with pytest.raises(AgentError, match="No module named 'no_such_module'"):
            await host.plan()
        await host.close()
    assert len(preloading.pids()) == 1


async def test_a_child_inherits_nothing(preloading: Preloading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        async with hosted(preloading, Descendants) as other, hosted(preloading, Faulty, what="sleep") as host:
            await pids_of(other)
            pid = (await pids_of(host))["pid"]
            links = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
            assert os.readlink(f"/proc/self/fd/{write}") not in links
            kinds = sorted(link.partition(":")[0] for link in links)
            # Standard input, output, its connection, and what its own event loop has.
            assert kinds == ["/dev/null", "anon_inode", "pipe", "socket", "socket", "socket"], links
            assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        os.close(read)
        os.close(write)
