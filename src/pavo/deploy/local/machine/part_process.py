"""The process behind a part: how it is started, how it tells that it is ready, its output and its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pavo.deploy.local.machine.logs import LogFile
from pavo.kit import cancellation
from pavo.kit.processes import ProcessIdentity, child_dies_with_us

LINE_BYTES: Final = 1_000_000
"""Of a line of output; what is longer goes on in the next one, and takes no more memory of the supervisor's."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    directory: Path | None = None
    uid: int | None = None
    gid: int | None = None
    orphan_signal: int = signal.SIGKILL
    """What it gets when the supervisor dies without a word (Linux)."""
    ready_line: bool = False
    """Whether the child announces readiness on PAVO_READY_FD."""
    spare: bool = False
    """Whether it waits for its turn on PAVO_TURN_FD (see `kit.ready`)."""


@dataclass(slots=True)
class PartProcess:
    """A running child: `exited` is set with its return code, `announced` when it wrote READY, `waiting` as a spare."""

    process: "subprocess.Popen[bytes]"
    identity: ProcessIdentity | None
    exited: "asyncio.Future[int]"
    log: LogFile
    announced: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    version: str = ""
    """Which it said that it is, before READY; empty until then, and for what is not Pavo's own."""
    turn: int | None = None
    """Descriptor on which a spare is told its turn."""

    @property
    def pid(self) -> int:
        """The child's pid."""
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL the child and what it left in its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)

    def release(self, launch: Launch) -> bool:
        """Let a spare begin as `launch` says; False when it is gone."""
        turn, self.turn = self.turn, None
        if turn is None:
            return False
        self.log.move(launch.log)
        replaced = launch.environment.get("PAVO_REPLACES", "")
        with os.fdopen(turn, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(f"{replaced}\n".encode())
            return True
        return False

    async def while_alive(self, work: Coroutine[Any, Any, object], seconds: float | None = None) -> bool:
        """Do something with the process; answers whether it was done before that died and before the time was over.

        What becomes of the work when the process died is of no interest, errors included; those with a live one are
        raised. The work is ended for certain, even where a library misses its cancellation.
        """
        working = asyncio.create_task(work)
        try:
            await asyncio.wait({working, self.exited}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            done = working.done() and not self.exited.done()
        finally:
            await cancellation.end(working)
        if done:
            working.result()
        return done

    async def end(self, number: int, seconds: float) -> int:
        """Ask with a signal, wait so long, then kill. Returns the exit code."""
        self.signal(number)
        await asyncio.wait({self.exited}, timeout=seconds)
        if not self.exited.done():
            self.kill_group()
        return await asyncio.shield(self.exited)


def spawn(launch: Launch) -> PartProcess:
    """Start a child in a session of its own: a Ctrl-C reaches the supervisor alone, which then drains the parts.

    Raises:
        OSError: the command cannot be run.
    """
    loop = asyncio.get_running_loop()
    log = LogFile(launch.log)
    reader, writer = os.pipe()
    turn, told = os.pipe() if launch.spare else (None, None)
    given = ({"PAVO_READY_FD": writer} if launch.ready_line else {}) | ({"PAVO_TURN_FD": turn} if turn else {})
    environment = {**launch.environment, **{name: str(descriptor) for name, descriptor in given.items()}}
    try:
        process = subprocess.Popen(
            list(launch.command),
            env=environment,
            cwd=launch.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(given.values()),
            start_new_session=True,
            user=launch.uid,
            group=launch.gid,
            extra_groups=[] if launch.uid is not None else None,
            preexec_fn=child_dies_with_us(launch.orphan_signal),
        )
    except BaseException:
        _close(reader, told)
        raise
    finally:
        _close(writer, turn)
    child = PartProcess(process, ProcessIdentity.of(process.pid), loop.create_future(), log, turn=told)
    _watch(child, loop, reader)
    return child


def _close(*descriptors: int | None) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _watch(child: PartProcess, loop: asyncio.AbstractEventLoop, reader: int) -> None:
    """Start three threads, for these work with every event loop: one waits for the end, one copies the output, one
    waits for READY."""

    def resolve(code: int) -> None:
        if not child.exited.done():
            child.exited.set_result(code)

    def wait() -> None:
        code = child.process.wait()
        _tell(loop, lambda: resolve(code))

    def copy(stream: IO[bytes]) -> None:
        with child.log, stream:
            while line := stream.readline(LINE_BYTES):
                child.log.write(line)

    assert child.process.stdout is not None
    threading.Thread(target=wait, daemon=True).start()
    threading.Thread(target=copy, args=(child.process.stdout,), daemon=True).start()
    threading.Thread(target=_listen, args=(child, loop, reader), daemon=True).start()


def _listen(child: PartProcess, loop: asyncio.AbstractEventLoop, reader: int) -> None:
    """What the child says of itself (see `kit.ready`), until it says no more."""
    with os.fdopen(reader, "rb") as pipe:
        for line in pipe:
            said, _, version = line.decode(errors="replace").strip().partition(" ")
            if said == "VERSION":
                child.version = version
            else:
                _tell(loop, child.announced.set if said == "READY" else child.waiting.set)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback)
