"""A child process in a group of its own: started, watched, killed with all its descendants, and reaped.

What begins in a preloaded process is a `Child` too: see `preloaded_process`.

asyncio's own subprocesses are not used: their child watchers depend on the kind of event loop and on its thread, and
they reap a child at any moment, after which the number of its process group may belong to other processes.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol, cast

from pavo.agents.output import output_sink
from pavo.kit.descendants.remains import end_what_it_left, mark_of
from pavo.observe.hidden import Hidden, hidden_here

logger = logging.getLogger(__name__)

_LINE_CHARACTERS = 2000
_WINDOW_SECONDS = 10.0
_WINDOW_LINES = 200
"""Lines of a child's output that the log takes in a window; an agent that prints in a loop must not fill the disk."""
_MOMENT_SECONDS = 0.1
_MOMENT_BYTES = 500_000
"""Of a child's output in a moment: as much as it may print for ever is little beside what a worker does."""
_LAST_OUTPUT_SECONDS = 0.5
"""For so long the end waits for the rest of the output: a descendant in a session of its own may hold the pipe open."""


class Child(Protocol):
    """An agent's process, however it began. Use it on one event loop."""

    ended: asyncio.Task[int]
    """Gives the exit code, or minus the signal's number, once the child is reaped, its group dead and its output
    logged. Do not cancel it."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """What `ended` gives; None while it runs."""
        ...

    @property
    def exited(self) -> bool:
        """Whether it runs no more; `ended` follows when it is reaped and what it left is gone."""
        ...

    @property
    def lost(self) -> str | None:
        """Why the end was not the child's own: what it began from was lost, or how it ended is not known."""
        ...

    def kill(self, number: int = signal.SIGKILL, *, group: bool = True) -> None:
        """Send a signal to the child, with its descendants or without. After its end, do nothing."""
        ...


async def abort(child: Child, seconds: float) -> None:
    """End a child that hangs, but give it these seconds to write its stack first: faulthandler answers SIGABRT."""
    child.kill(signal.SIGABRT, group=False)
    await asyncio.wait({child.ended}, timeout=seconds)
    child.kill()


async def ends(child: Child, seconds: float) -> bool:
    """Whether a child that has closed its connection ends by itself within these seconds; return when it has ended.

    To reap it and to end what it left may take longer: where a hundred end at once, each looks at all processes.
    """
    await asyncio.wait({child.ended}, timeout=seconds)
    if child.exited:
        await asyncio.wait({child.ended})
    return child.ended.done()


class ChildProcess:
    """One child of this very process. Use it on one event loop.

    `spawn` must run on a thread that lives as long as the worker.
    """

    def __init__(self, process: subprocess.Popen[bytes], label: str) -> None:
        self._process = process
        self._mark = mark_of(process.pid)
        self._output = Output(label)
        self._transport: asyncio.ReadTransport | None = None
        self.ended: asyncio.Task[int] = asyncio.create_task(self._watch(), name=f"watch {label}")

    @classmethod
    def spawn(
        cls, arguments: Sequence[str], end: socket.socket, environment: Mapping[str, str], label: str
    ) -> "ChildProcess":
        """Start the program; it inherits `end` and no other descriptor, its output goes to the log under `label`.

        subprocess uses vfork here: it neither copies the worker's page tables nor runs Python in the child.

        Raises:
            OSError: there is no room for another process.
        """
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(end.fileno(),),
            start_new_session=True,
            env=dict(environment),
        )
        return cls(process, label)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the signal's number; None while it runs."""
        return self._process.returncode

    @property
    def exited(self) -> bool:
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.returncode is not None
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # reaped this very moment
            return True

    @property
    def lost(self) -> str | None:
        """Never: it is this process that reaps it."""
        return None

    def kill(self, number: int = signal.SIGKILL, *, group: bool = True) -> None:
        """Send a signal to the child, with its descendants or without. After its end, do nothing."""
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(self._process.pid, number)

    async def _watch(self) -> int:
        assert self._process.stdout is not None
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.connect_read_pipe(lambda: self._output, self._process.stdout)
            await _exited(self._process)
        finally:
            # Not reaped yet, so the group's number is still the child's own.
            self.kill()
            code = self._process.wait()
            if code != 0:  # else it has ended in order, and what it started before
                await end_what_it_left(self._mark)
            if self._transport is not None:
                await self._output.finish(self._transport)
        return code


async def _exited(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the process and leave it unreaped, where the system has pidfds (Linux 5.3)."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        while process.poll() is None:
            await asyncio.sleep(0.05)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class Output(asyncio.Protocol):
    """Writes the child's output to the log, line by line, in bounds, and to where its agent's output goes."""

    def __init__(self, label: str) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._label = label
        self._sink = output_sink()
        self._hidden = hidden_here() or Hidden()
        self._rest = b""
        self._transport: asyncio.ReadTransport | None = None
        self._taken = 0
        """Bytes of this moment."""
        self._window = 0.0
        self._lines = 0

    async def finish(self, transport: asyncio.ReadTransport) -> None:
        """Wait for the rest, but not for ever, and close."""
        try:
            await asyncio.wait({self.ended}, timeout=_LAST_OUTPUT_SECONDS)
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Whole lines at once, and no more than so many bytes a moment: an agent that prints without an end must leave
        the loop to others."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_CHARACTERS + (kept := self._hidden.longest):
            at = self._hidden.cut(self._rest, len(self._rest) - kept)
            lines.append(self._rest[:at])
            self._rest = self._rest[at:]
        self._log(lines)
        if self._taken == 0:
            asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._go_on)
        self._taken += len(data)
        if self._taken >= _MOMENT_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        paused, self._taken = self._taken >= _MOMENT_BYTES, 0
        if paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._log([self._rest])
        if not self.ended.done():
            self.ended.set_result(None)

    def _log(self, lines: Sequence[bytes]) -> None:
        if self._sink is not None and lines:
            self._sink(self._hidden.out_of(b"\n".join(lines).decode(errors="replace")) + "\n")
        now = time.monotonic()
        if now - self._window > _WINDOW_SECONDS:
            if self._lines > _WINDOW_LINES:
                logger.info("%s| … %d lines left out", self._label, self._lines - _WINDOW_LINES)
            self._window, self._lines = now, 0
        for line in lines[: max(0, _WINDOW_LINES - self._lines)]:
            text = self._hidden.out_of(line.decode(errors="replace").rstrip("\r"))
            logger.info("%s| %s", self._label, text[:_LINE_CHARACTERS])
        self._lines += len(lines)
