"""An isolated agent that kills, hangs or bloats its process harms its own step only."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sample_agents import Descendants, Faulty, Sample, Talkative

from conftest import LIMITS, PLAN, alive, context, opened, until
from pavo.agents.contract import Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.errors import AgentDied, AgentError
from pavo.kit.descendants.remains import end_what_it_left

pytestmark = pytest.mark.fault


ISOLATED = pytest.mark.parametrize("kind", ["process", "spawned"])


@ISOLATED
@pytest.mark.parametrize(
    ("what", "cause", "remedy"),
    [
        ("exit", "exit code 3", "os._exit"),
        ("segfault", "signal SIGSEGV", "A library in machine code"),
        ("loop", "did not yield for 1 s", "asyncio.to_thread"),
        ("hog", "out of memory limit (256 MiB)", "PAVO_AGENT_MEMORY_MB"),
        ("hog in a task", "out of memory limit (256 MiB)", "PAVO_AGENT_MEMORY_MB"),
        ("hog in native code", "signal SIGSEGV", "memory"),
        ("garbage", "it sent a message of 1,852,776,557 bytes, of which 25,165,824 are allowed", "a descriptor"),
        ("deaf", "its connection was lost", ""),
    ],
)
async def test_a_death_names_its_cause(kind: str, what: str, cause: str, remedy: str) -> None:
    async with opened(kind, Faulty, what=what) as host:
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None
        with pytest.raises(AgentDied) as caught:
            await asyncio.wait_for(host.next_step(), 15)
        assert caught.value.detail == cause and remedy in (caught.value.remedy or "")
        await until(lambda: not alive(step.checkpoint["pid"]))
        with pytest.raises(AgentDied):
            await host.report(PLAN, None)


@ISOLATED
@pytest.mark.parametrize(("what", "cause"), [("exit", "exit code 3"), ("segfault", "signal SIGSEGV")])
async def test_an_end_is_told_however_long_it_takes_to_clean_up_after_it(
    kind: str, what: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where many end at once, longer than a child that has closed its connection, or is silent, may live."""

    async def slowly(mark: str | None) -> None:
        await asyncio.sleep(1.0 + 2 * LIMITS.silence_seconds)
        await end_what_it_left(mark)

    for module in ("child_process", "preloaded_process"):
        monkeypatch.setattr(f"pavo.agents.hosts.{module}.end_what_it_left", slowly)
    async with opened(kind, Faulty, what=what) as host:
        await host.open(PLAN, None)
        await host.next_step()
        with pytest.raises(AgentDied) as caught:
            await host.next_step()
        assert caught.value.detail == cause


@ISOLATED
async def test_a_killed_child_is_noticed_at_once(kind: str) -> None:
    patient = replace(LIMITS, silence_seconds=60)
    async with opened(kind, Faulty, patient, what="sleep") as host:
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None
        pending = asyncio.create_task(host.next_step())
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        os.kill(step.checkpoint["pid"], signal.SIGKILL)
        with pytest.raises(AgentDied, match="signal SIGKILL"):
            await pending
        assert asyncio.get_running_loop().time() - began < patient.silence_seconds / 4, "nobody waited for its answer"


async def test_a_hang_is_explained_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with opened("process", Faulty, what="loop") as host:
        await host.open(PLAN, None)
        await host.next_step()
        with pytest.raises(AgentDied):
            await host.next_step()
    assert "sample_agents.py" in caplog.text
    assert "Fatal Python error: Aborted" in caplog.text


async def test_neighbours_go_on_meanwhile() -> None:
    async with opened("process", Faulty, what="loop") as bad, opened("process", Sample, n=50) as good:
        await bad.open(PLAN, None)
        await bad.next_step()
        await good.open(PLAN, None)
        dying = asyncio.create_task(bad.next_step())
        for n in range(1, 51):
            step = await good.next_step()
            assert step is not None and step.progress == n
        with pytest.raises(AgentDied):
            await dying


async def test_a_busy_worker_does_not_make_its_agents_dead() -> None:
    async with opened("process", Sample, n=2) as host:
        await host.open(PLAN, None)
        # What a paused worker, or a long garbage collection, looks like: twice the allowed silence without a turn.
        subprocess.run([sys.executable, "-c", "import time; time.sleep(2)"], check=True)
        assert await host.next_step() is not None


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("sample_agents:Nothing", "AttributeError: "),
        ("json:JSONDecoder", "TypeError: json:JSONDecoder is no subclass"),
    ],
)
async def test_code_that_cannot_be_loaded(target: str, error: str) -> None:
    host = ProcessHost(target, context(), LIMITS)
    for _ in range(2):
        with pytest.raises(AgentError) as caught:
            await host.plan()
        assert caught.value.detail.startswith(error)
    await host.close()


async def test_a_child_that_does_not_start_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "never_ready.py").write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    host = ProcessHost("never_ready:X", context(), HostLimits(start_seconds=0.5))
    with pytest.raises(AgentDied, match=r"did not start within 0\.5 s"):
        await host.plan()
    await host.close()


async def test_closing_a_child_that_is_still_starting() -> None:
    host = ProcessHost("sample_agents:Sample", context(n=1), LIMITS)
    opening = asyncio.create_task(host.open(PLAN, None))
    await asyncio.sleep(0)
    await host.close()
    with pytest.raises(AgentDied):
        await opening


@ISOLATED
@pytest.mark.parametrize("force", [False, True])
async def test_closing_ends_descendants(kind: str, force: bool) -> None:
    async with opened(kind, Descendants) as host:
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None
        assert all(map(alive, step.checkpoint.values()))
        await host.close(force=force)
        await until(lambda: not any(map(alive, step.checkpoint.values())))


WORKER = """
import asyncio, json, sys
sys.path.insert(0, {tests!r})
from conftest import PLAN, context
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.process_host import ProcessHost

async def main():
    host = ProcessHost("sample_agents:Descendants", context(busy={busy}), HostLimits())
    await host.open(PLAN, None)
    step = await host.next_step()
    pending = asyncio.create_task(host.next_step())
    await asyncio.sleep(0.1)
    print(json.dumps(step.checkpoint), flush=True)
    await pending

asyncio.run(main())
"""


@pytest.mark.parametrize("busy", [False, True])
async def test_a_killed_worker_takes_its_agents_along(busy: bool) -> None:
    code = WORKER.format(tests=str(Path(__file__).parent), busy=busy)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        line = await asyncio.to_thread(worker.stdout.readline)
        pids = eval(line)
        assert all(map(alive, pids.values()))
        worker.kill()
    await until(lambda: not any(map(alive, pids.values())))


async def test_output_goes_to_the_log_and_secrets_stay_here(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "pavo.agents.hosts.child_process")
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("OPENAI_API_KEY", "not named")
    with socket.socket() as bystander:
        os.set_inheritable(bystander.fileno(), False)
        async with opened("process", Talkative) as host:
            await host.open(PLAN, None)
            step = await host.next_step()
            assert step is not None
            assert step.checkpoint["environment"] == {"DATABASE_URL": None, "OPENAI_API_KEY": None}
            assert await host.next_step() == Step(2)
    lines = [record.getMessage().partition("| ")[2] for record in caplog.records]
    assert {"hello from the agent", "to stderr", "half a line, \N{REPLACEMENT CHARACTER}"} <= set(lines)
    assert lines.count("again") < 200


async def _life() -> int:
    async with opened("process", Sample, n=3) as host:
        await host.open(PLAN, None)
        count = 0
        while await host.next_step() is not None:
            count += 1
        return count


async def _death() -> str:
    async with opened("process", Faulty, what="exit") as host:
        await host.open(PLAN, None)
        await host.next_step()
        try:
            await host.next_step()
        except AgentDied as death:
            return death.detail
        return "none"


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("work", [_life, _death])
async def test_works_on_any_loop_in_any_thread(factory: Any, work: Any) -> None:
    results: list[Any] = []

    def serve(coroutine: Coroutine[Any, Any, Any]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            results.append(runner.run(coroutine))

    thread = threading.Thread(target=serve, args=(work(),))
    thread.start()
    await asyncio.to_thread(thread.join, 30)
    assert results == [3 if work is _life else "exit code 3"]


async def test_a_loop_that_ends_early_leaves_no_child() -> None:
    pids: list[int] = []

    async def begin() -> None:
        host = ProcessHost("sample_agents:Descendants", context(), LIMITS)
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None
        pids.extend(step.checkpoint.values())

    await asyncio.to_thread(lambda: asyncio.run(begin()))
    assert len(pids) == 3
    await until(lambda: not any(alive(pid) for pid in pids))


async def test_a_child_that_blocks_is_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    limits = replace(LIMITS, silence_seconds=2.0, warn_seconds=0.5)
    async with opened("process", Faulty, limits=limits, what="loop") as host:
        await host.open(PLAN, None)
        await host.next_step()
        with pytest.raises(AgentDied, match="did not yield for 2 s"):
            await asyncio.wait_for(host.next_step(), 15)
    warnings = [text for text in caplog.messages if "has blocked its event loop" in text]
    assert len(warnings) == 1 and "asyncio.to_thread" in warnings[0] and "After 2 s it counts as dead" in warnings[0]
