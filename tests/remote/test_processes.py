"""Programs of others end whole: escapees, those that start themselves anew, that ignore SIGTERM, flood, hang, and hold
their output open."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest

from pavo.remote.processes.contract import Ended, Ending, Limits, OutputLine
from pavo.remote.processes.running import MARK, end_remains, run, run_for_output

ENV = {"PATH": os.environ["PATH"]}
ESCAPEES = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def apart(then):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            then()
        os._exit(0)
    os.wait()
def sleeps():
    while True: time.sleep(1)
def again():
    # another process, and another, in sessions of their own; for a minute, should nobody end it
    until = time.time() + 60
    while time.time() < until:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.001)
apart(sleeps); apart(again)
os.spawnve(os.P_NOWAIT, "/bin/sleep", ["sleep", "600"], {})
print("there", flush=True)
sleeps()
"""


def script(folder: Path, code: str) -> list[str]:
    place = folder / f"{uuid.uuid4().hex}.py"
    place.write_text(textwrap.dedent(code))
    return [sys.executable, "-S", str(place)]


def in_folder(folder: Path) -> list[int]:
    """Processes whose working folder this is: whatever a program started here has left."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(place / "cwd") == str(folder):
                found.append(int(place.name))
        except OSError:
            continue
    return found


async def gone(folder: Path) -> bool:
    for _ in range(200):
        if not in_folder(folder):
            return True
        await asyncio.sleep(0.02)
    return False


class Lines:
    """What a program printed."""

    def __init__(self, ending: Ending | None = None, last: str = "there", grace: float | None = None) -> None:
        self.lines: list[OutputLine] = []
        self.ending, self.last, self.grace = ending, last, grace

    async def __call__(self, line: OutputLine) -> None:
        self.lines.append(line)
        if self.ending is not None and line.text == self.last:
            self.ending.cancel() if self.grace is None else self.ending.finish(self.grace)


async def test_a_program_is_told_by_lines_and_exit_code(tmp_path: Path) -> None:
    found = await run_for_output(["sh", "-c", "cat; echo no >&2; exit 3"], cwd=tmp_path, env=ENV, stdin=b"one\r\ntwo")
    assert (found.stdout, found.stderr) == ("one\ntwo\n", "no\n")
    assert (found.ended.ended_by, found.ended.exit_code, found.ended.passed) == ("exit", 3, False)
    killed = await run(["sh", "-c", "kill -9 $$"], cwd=tmp_path, env=ENV)
    assert (killed.ended_by, killed.exit_code) == ("exit", 137)


async def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    found = await run([str(tmp_path / "nothing")], cwd=tmp_path, env=ENV)
    assert found.ended_by == "not_started" and "No such file" in found.error and found.exit_code is None
    elsewhere = await run(["true"], cwd=tmp_path / "nowhere", env=ENV)
    assert elsewhere.ended_by == "not_started" and not elsewhere.passed


@pytest.mark.parametrize("group", [True, False])
async def test_a_cancelled_tree_leaves_nobody(tmp_path: Path, group: bool) -> None:
    lines = Lines(ending := Ending())
    found = await run(
        script(tmp_path, ESCAPEES),
        cwd=tmp_path,
        env=ENV,
        limits=Limits(grace_seconds=0.3, control_group=group),
        on_line=lines,
        ending=ending,
    )
    assert found.ended_by == "cancelled" and found.killed >= 2 and found.left == 0
    assert await gone(tmp_path)


async def test_a_cancelled_caller_waits_for_the_end(tmp_path: Path) -> None:
    lines = Lines()
    task = asyncio.create_task(
        run(script(tmp_path, ESCAPEES), cwd=tmp_path, env=ENV, limits=Limits(grace_seconds=0.1), on_line=lines)
    )
    async with asyncio.timeout(20):
        while not lines.lines:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert in_folder(tmp_path) == []


async def test_what_a_program_leaves_is_ended_with_it_and_its_output_is_not_waited_for(tmp_path: Path) -> None:
    holder = "setsid sh -c 'exec sleep 600' & (setsid sleep 601 &) ; echo done; exit 0"
    async with asyncio.timeout(20):
        found = await run_for_output(["sh", "-c", holder], cwd=tmp_path, env=ENV)
    assert found.ended.passed and found.stdout == "done\n" and found.ended.killed == 2
    assert await gone(tmp_path)


async def test_a_program_that_hangs_after_its_last_word_is_finished(tmp_path: Path) -> None:
    code = (
        "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('there', flush=True)\ntime.sleep(600)"
    )
    lines = Lines(ending := Ending(), grace=0.5)
    found = await run(
        script(tmp_path, code),
        cwd=tmp_path,
        env=ENV,
        limits=Limits(grace_seconds=0.2, idle_seconds=0.1 + 30),
        on_line=lines,
        ending=ending,
    )
    assert (found.ended_by, found.exit_code) == ("terminal_event", 137) and 0.7 <= found.seconds < 20


async def test_one_that_ends_in_its_grace_keeps_its_exit_code(tmp_path: Path) -> None:
    lines = Lines(ending := Ending(), grace=20)
    found = await run(["sh", "-c", "echo there; exit 4"], cwd=tmp_path, env=ENV, on_line=lines, ending=ending)
    assert (found.ended_by, found.exit_code) == ("terminal_event", 4) and found.seconds < 15


async def test_silence_and_time_end_a_program(tmp_path: Path) -> None:
    silent = await run(["sleep", "600"], cwd=tmp_path, env=ENV, limits=Limits(idle_seconds=0.5))
    assert silent.ended_by == "idle" and silent.exit_code == 143
    busy = ["sh", "-c", "while :; do echo on; sleep 0.05; done"]
    long = await run(busy, cwd=tmp_path, env=ENV, limits=Limits(idle_seconds=20, timeout_seconds=1))
    assert long.ended_by == "timeout" and long.output_bytes > 0


async def test_a_listener_that_is_slow_is_no_silence(tmp_path: Path) -> None:
    async def slowly(_: OutputLine) -> None:
        await asyncio.sleep(0.2)

    code = "import time\nfor _ in range(8): print('x', flush=True)\ntime.sleep(1.0)"
    found = await run(script(tmp_path, code), cwd=tmp_path, env=ENV, limits=Limits(idle_seconds=1.5), on_line=slowly)
    assert found.passed, found


async def test_a_flood_is_bounded_in_lines_memory_and_bytes(tmp_path: Path) -> None:
    code = "import sys\nwhile True: sys.stdout.write('y' * 1_000_000)"
    seen: list[OutputLine] = []

    async def keep(line: OutputLine) -> None:
        seen.append(line)

    found = await run(
        script(tmp_path, code), cwd=tmp_path, env=ENV, limits=Limits(output_bytes=20_000_000), on_line=keep
    )
    assert found.ended_by == "output" and 20_000_000 < found.output_bytes < 1_000_000_000
    assert [len(line.text) for line in seen] == [16_000] and seen[0].cut_bytes == found.output_bytes - 16_000


async def test_a_program_waits_for_whoever_is_told(tmp_path: Path) -> None:
    first, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: OutputLine) -> None:
        first.set()
        await go_on.wait()

    code = "for n in range(200_000): print('x' * 99)\nopen('written', 'w').close()"
    task = asyncio.create_task(run(script(tmp_path, code), cwd=tmp_path, env=ENV, on_line=hold))
    async with asyncio.timeout(20):
        await first.wait()
        stands = 0
        before = -1
        while stands < 20:  # the number of bytes that its process has written stands still
            (pid,) = [each for each in in_folder(tmp_path) if _is_writer(each)]
            now = int(next(ln for ln in Path(f"/proc/{pid}/io").read_text().splitlines() if "wchar" in ln).split()[1])
            stands, before = (stands + 1, before) if now == before else (0, now)
            await asyncio.sleep(0.02)
    assert not (tmp_path / "written").exists() and before < 2_000_000
    go_on.set()
    found = await task
    assert found.passed and found.output_bytes == 20_000_000 and (tmp_path / "written").exists()


def _is_writer(pid: int) -> bool:
    return b".py" in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_an_error_of_the_listener_ends_the_program_and_is_raised(tmp_path: Path) -> None:
    async def fail(_: OutputLine) -> None:
        raise ValueError("no place")

    with pytest.raises(ValueError, match="no place"):
        await run(["sh", "-c", "echo x; sleep 600"], cwd=tmp_path, env=ENV, on_line=fail)
    assert await gone(tmp_path)


AGENT = """
import asyncio, sys
from pavo.remote.processes.running import run
async def main():
    await run(sys.argv[3:], cwd=sys.argv[1], env={"PATH": "/usr/bin:/bin"}, mark=sys.argv[2])
asyncio.run(main())
"""


async def _agent(folder: Path, mark: str, argv: list[str]) -> "subprocess.Popen[bytes]":
    """Another process that runs a program, once all of that is there."""
    agent = subprocess.Popen([sys.executable, "-c", AGENT, str(folder), mark, *argv])
    async with asyncio.timeout(30):
        while len(in_folder(folder)) < 4:
            assert agent.poll() is None
            await asyncio.sleep(0.02)
    return agent


async def test_a_program_dies_with_its_agent(tmp_path: Path) -> None:
    agent = await _agent(tmp_path, "a", script(tmp_path, ESCAPEES))
    agent.kill()
    agent.wait()
    assert await gone(tmp_path)


async def test_what_two_dead_ones_left_is_ended_by_its_mark(tmp_path: Path) -> None:
    mark = str(uuid.uuid4())
    agent = await _agent(tmp_path, mark, ["sh", "-c", "sleep 600 & setsid sleep 601 & sleep 602 & sleep 603"])
    supervisors = [pid for pid in _children(agent.pid) if _is_supervisor(pid)]
    for pid in supervisors:
        os.kill(pid, signal.SIGSTOP)  # else one may be quick enough to end what it has begun
    for pid in (agent.pid, *supervisors):
        os.kill(pid, signal.SIGKILL)
    agent.wait()
    assert supervisors and in_folder(tmp_path)
    begun = time.monotonic()
    await asyncio.to_thread(end_remains, mark)
    assert in_folder(tmp_path) == [] and time.monotonic() - begun < 8


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_supervisor(pid: int) -> bool:
    return b"pavo.remote.processes.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_a_program_that_kills_its_supervisor_is_ended_all_the_same(tmp_path: Path) -> None:
    found: Ended = await run(["sh", "-c", "kill -9 $PPID; exec sleep 600"], cwd=tmp_path, env=ENV)
    assert found.ended_by == "supervisor_lost" and found.exit_code is None
    assert await gone(tmp_path)


async def test_only_the_named_environment_is_given(tmp_path: Path) -> None:
    found = await run_for_output(["env"], cwd=tmp_path, env={"ONE": "1"})
    assert {line.split("=")[0] for line in found.stdout.splitlines()} <= {"ONE", MARK, "PWD", "_", "SHLVL"}


async def test_many_at_once_leave_no_descriptor(tmp_path: Path) -> None:
    await run(["true"], cwd=tmp_path, env=ENV)
    before = len(os.listdir("/proc/self/fd"))
    ended = await asyncio.gather(*(run(["sh", "-c", "echo $$"], cwd=tmp_path, env=ENV) for _ in range(8)))
    assert all(each.passed for each in ended)
    assert len(os.listdir("/proc/self/fd")) == before
