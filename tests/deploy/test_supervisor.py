"""The supervisor brings back what dies or falls silent, at whatever moment; its parts are real processes."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pavo.deploy.local import liveness
from pavo.deploy.local.components.component import PlainComponent
from pavo.deploy.local.definition import LocalOptions, StackDefinition
from pavo.deploy.local.machine import part_process
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import free_port, on_loopback
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import PartState, Urls, read
from tests.driving import until

NAME = "temporal"
SERVER = """
import socket, sys, time
time.sleep(0.1)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=False)
while True:
    connection, _ = server.accept()
    with connection:
        try:
            connection.sendall(b"+" if connection.recv(100) else b"")
        except OSError:  # whoever asked has left
            pass
"""


class Server(PlainComponent):
    """Listens 0.1 s after its start, and answers any bytes with one."""

    greeting = b"hello"

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port(set())
        self.address = on_loopback(self._port)

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        command = [sys.executable, "-ISc", SERVER, str(self._port)]
        return Launch(command, {**os.environ, **extra}, Layout(self._folder).log(name))

    async def answers(self) -> bool:
        with contextlib.suppress(OSError):
            # On Python 3.11 wait_for misses a cancellation that comes with its result, and libraries use it.
            _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self._port), 2)
            writer.write(b"x")
            writer.close()
            return True
        return False


@asynccontextmanager
async def supervised(folder: Path, component: PlainComponent) -> AsyncIterator[Supervisor]:
    urls = Urls("", "", "", "")
    layout = Layout(folder)
    definition = StackDefinition("embedded", LocalOptions(), {NAME: component}, {}, urls, {})
    supervisor = Supervisor(layout, definition, [NAME])
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await asyncio.wait_for(supervisor.stop(), 20)
    assert state_of(supervisor).pid is None


def state_of(supervisor: Supervisor) -> PartState:
    return supervisor.states()[0]


async def successor(supervisor: Supervisor, pid: int) -> int:
    """The pid of the process that follows `pid`, as soon as it runs."""

    async def follows() -> int | None:
        now = state_of(supervisor).pid
        return None if now == pid else now

    return await until(follows, what="a successor")


async def twice_killed(folder: Path, after: float) -> None:
    """Kill a part, and its successor so many seconds later; the next one must get ready."""
    async with supervised(folder, Server(folder)) as supervisor:
        first = supervisor.signal(NAME, signal.SIGKILL)
        await successor(supervisor, first)
        await asyncio.sleep(after)
        # Not always the one from above: on a busy machine its port may be somebody else's for a moment, and it ends.
        killed = supervisor.signal(NAME, signal.SIGKILL)
        await successor(supervisor, killed)
        await asyncio.wait_for(supervisor.until_ready(NAME), 15)
        assert state_of(supervisor).restarts >= 2


@pytest.mark.fault
async def test_a_successor_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    moments = [0.05 + 0.45 * n / 23 for n in range(24)]
    await asyncio.gather(*(twice_killed(tmp_path / str(n), after) for n, after in enumerate(moments)))


class Deaf(Server):
    """Its probe misses one cancellation, as a library does that catches it at the wrong moment."""

    missed = 0
    asked_again = False
    hangs = False

    async def answers(self) -> bool:
        if not self.hangs:
            return await super().answers()
        self.asked_again = True
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.missed += 1
            self.hangs = False
        return False


async def test_a_probe_that_misses_its_cancellation_holds_nothing_up(tmp_path: Path) -> None:
    component = Deaf(tmp_path)
    async with supervised(tmp_path, component) as supervisor:
        component.hangs = True
        second = await successor(supervisor, supervisor.signal(NAME, signal.SIGKILL))

        async def asked() -> bool:
            return component.asked_again

        await until(asked, seconds=10)
        supervisor.signal(NAME, signal.SIGKILL)
        await successor(supervisor, second)
        await asyncio.wait_for(supervisor.until_ready(NAME), 10)
    assert component.missed == 1


class Odd(Server):
    """Its second preparation fails in a way that nobody foresaw."""

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1
        if self.prepared == 2:
            raise RuntimeError("can't start new thread")


async def test_an_error_that_nobody_foresaw_delays_a_restart_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    component = Odd(tmp_path)
    async with supervised(tmp_path, component) as supervisor:
        await successor(supervisor, supervisor.signal(NAME, signal.SIGKILL))
        await asyncio.wait_for(supervisor.until_ready(NAME), 10)
    assert component.prepared == 3
    assert "can't start new thread" in caplog.text


class Unsettled(Server):
    """It is killed while it is settled for the first time."""

    supervisor: Supervisor | None = None
    settled = 0

    async def settle(self) -> None:
        self.settled += 1
        if self.settled == 1:
            assert self.supervisor is not None
            self.supervisor.signal(NAME, signal.SIGKILL)
            await asyncio.sleep(600)


async def test_a_part_that_dies_while_it_is_settled_is_started_again(tmp_path: Path) -> None:
    component = Unsettled(tmp_path)
    layout = Layout(tmp_path)
    definition = StackDefinition("embedded", LocalOptions(), {NAME: component}, {}, Urls("", "", "", ""), {})
    component.supervisor = supervisor = Supervisor(layout, definition, [NAME])
    try:
        await asyncio.wait_for(supervisor.start(), 60)
        assert component.settled == 2
        assert state_of(supervisor).restarts == 1
    finally:
        await supervisor.stop()


@pytest.mark.fault
async def test_a_silent_part_is_killed_and_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, Server(tmp_path)) as supervisor:
        await successor(supervisor, supervisor.signal(NAME, signal.SIGSTOP))
        await asyncio.wait_for(supervisor.until_ready(NAME), 60)
        seen = state_of(supervisor)
        assert (seen.restarts, seen.last_end) == (1, "was silent for 8 s and was killed")
        written = read(tmp_path)
        assert written is not None and written.public()["parts"][0]["last_end"] == seen.last_end
    assert f"[supervisor] {NAME} was silent for 8 s and was killed" in Layout(tmp_path).log(NAME).read_text()


class Mute(Server):
    """Cannot be greeted, as workers cannot, which listen on nothing."""

    greeting = b""


@pytest.mark.fault
async def test_a_stopped_part_that_cannot_be_greeted_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 2.0)
    async with supervised(tmp_path, Mute(tmp_path)) as supervisor:
        pid = supervisor.signal(NAME, signal.SIGSTOP)
        await asyncio.sleep(1)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(1.5)  # together longer than the silence that is allowed
        assert supervisor.pid(NAME) == pid, "one that goes on is let alone"
        begun = time.monotonic()
        await successor(supervisor, supervisor.signal(NAME, signal.SIGSTOP))
        assert time.monotonic() - begun >= 1.0
        await asyncio.wait_for(supervisor.until_ready(NAME), 60)
        assert state_of(supervisor).restarts == 1


async def test_a_line_without_an_end_takes_no_memory_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_process, "LINE_BYTES", 1_000)
    log = tmp_path / "endless.log"
    command = [sys.executable, "-ISc", "import os; os.write(1, b'a' * 4_500 + b'\\nshort')"]
    assert await part_process.spawn(Launch(command, dict(os.environ), log)).exited == 0

    async def written() -> bool:
        return log.exists() and log.read_text().endswith("short\n")

    await until(written, what="the last line")
    assert [len(line.split(" ")[1]) for line in log.read_text().splitlines()] == [1_000] * 4 + [500, 5]


@pytest.mark.fault
async def test_a_frozen_machine_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Part and supervisor are stopped together, in the middle of a question; the supervisor wakes first."""
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(liveness, "PAUSE_SECONDS", 0.1)
    async with supervised(tmp_path, Server(tmp_path)) as supervisor:
        pid = supervisor.signal(NAME, signal.SIGSTOP)
        await asyncio.sleep(0.5)  # by now it is asked
        time.sleep(4)  # the supervisor's loop stands still: nothing of it runs, and its clock goes on
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(3)  # longer than the silence that is allowed: that nothing happens is what is tested
        assert supervisor.pid(NAME) == pid
        assert state_of(supervisor).restarts == 0


async def test_our_own_lack_of_descriptors_says_nothing_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_many(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", too_many)
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.3)
    assert await liveness.heard(on_loopback(free_port(set())), b"x")


async def test_a_part_that_no_longer_listens_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.3)
    assert not await liveness.heard(on_loopback(free_port(set())), b"x")
