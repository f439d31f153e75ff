"""The worker's side of a preloaded process (`preloaded_program`): it asks for children and hears of their ends."""

import asyncio
import contextvars
import json
import logging
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pavo.agents.code_version import EXIT_OTHER_CODE, PROTOCOL, CodeVersion
from pavo.agents.hosts.child_process import ChildProcess, Output
from pavo.agents.hosts.starting import ChildRequest
from pavo.kit.descendants.remains import end_what_it_left, mark_of

logger = logging.getLogger(__name__)

_PACKET = 64 * 1024
_ANSWER_SECONDS = 10.0
"""A fork takes milliseconds: one that answers nothing for so long is stopped or hangs, and gets no further requests."""
_REPORT_SECONDS = 10.0
"""For the exit code of a child that has ended; it takes milliseconds, unless hundreds end at once."""
_LOST = "the process that its agent began from was lost"
_UNTOLD = "how its agent's process ended is not known"


class NotForked(Exception):
    """The preloaded process gave no child; the text says why."""


class PreloadedProcess:
    """One preloaded process. Use it on one event loop, on a thread that lives as long as the worker."""

    def __init__(
        self, process: ChildProcess, control: socket.socket, agents: Sequence[CodeVersion], label: str
    ) -> None:
        self._process = process
        self._agents = agents
        self._control = control
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._children: dict[int, ForkedChild] = {}
        self._forks: dict[int, _Fork] = {}
        self._count = 0
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._open = True
        self.retired = False
        """No further children: it is lost, or does not answer."""
        self._ready: asyncio.Future[Sequence[str]] = self._loop.create_future()
        control.setblocking(False)
        self._loop.add_reader(control, self._read)
        process.ended.add_done_callback(lambda _: self.lose())

    @classmethod
    def begin(
        cls, agents: Sequence[CodeVersion], memory_mb: int, environment: Mapping[str, str], label: str
    ) -> "PreloadedProcess":
        """Start it and have it import these agents.

        Raises:
            OSError: there is no room for another process.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = [PROTOCOL, theirs.fileno(), os.getpid(), memory_mb]
        arguments = [sys.executable, "-P", "-m", "pavo.agents.hosts.preloaded_program", *map(str, options)]
        try:
            process = ChildProcess.spawn(arguments, theirs, environment, label)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        preloaded = cls(process, ours, agents, label)
        codes = [(each.target, {"fingerprint": each.fingerprint, "path": each.path}) for each in agents]
        preloaded._send({"op": "load", "path": sys.path, "agents": codes})
        return preloaded

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def imported(self, seconds: float) -> Sequence[str] | None:
        """The threads that are left after the import; None where it did not come to its end in this time.

        Raises:
            Unavailable: the code on disk is not what this worker has loaded.
        """
        await asyncio.wait({self._ready}, timeout=seconds)
        if self._ready.done() and not self._ready.cancelled():
            return self._ready.result()
        if self._ready.cancelled():
            await asyncio.wait({self._process.ended})
            if self._process.returncode == EXIT_OTHER_CODE:
                raise self._agents[0].changed
        return None

    @property
    def lost(self) -> bool:
        """Whether it has ended, or was told to."""
        return not self._open

    async def fork(self, request: ChildRequest, end: socket.socket) -> "ForkedChild":
        """A child that serves over `end`.

        Raises:
            NotForked: it is lost, or does not answer.
            OSError: there is no room for another process.
        """
        if self.retired:
            raise NotForked("it is lost")
        self._count += 1
        identifier, limits = self._count, request.limits
        output, theirs = os.pipe()
        fork = _Fork(self._loop.create_future(), output, request.label, contextvars.copy_context())
        self._forks[identifier] = fork
        message = {"op": "fork", "id": identifier, "memory_mb": limits.memory_mb}
        self._send({**message, "silence_seconds": limits.silence_seconds}, os.dup(end.fileno()), theirs)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await fork.answer
        except TimeoutError as error:
            self.retired = True
            logger.error("%s: it does not answer; other agents begin without it.", self._label)
            raise NotForked("it does not answer") from error

    async def close(self) -> None:
        """End it, with all children that are left."""
        self.lose()
        self._process.kill()
        await asyncio.wait({self._process.ended})

    def lose(self) -> None:
        """It has ended, or is to: nothing that began from it may go on."""
        if not self._open:
            return
        self._open, self.retired = False, True
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        self._process.kill(group=False)
        for _, attached in self._unsent:
            _close(attached)
        self._unsent.clear()
        for child in list(self._children.values()):
            child.lose(_LOST)
        for fork in self._forks.values():
            fork.fail(NotForked("it is lost"))
        self._forks.clear()
        self._ready.cancel()

    def _send(self, message: dict[str, Any], *attached: int) -> None:
        """Queue a packet; the descriptors go with it and are closed here."""
        self._unsent.append((json.dumps(message).encode(), attached))
        self._write()

    def _write(self) -> None:
        while self._unsent:
            data, attached = self._unsent[0]
            try:
                socket.send_fds(self._control, [data], attached)
            except BlockingIOError:
                self._loop.add_writer(self._control, self._write)
                return
            except OSError:
                self.lose()
                return
            _close(attached)
            self._unsent.popleft()
        self._loop.remove_writer(self._control)

    def _read(self) -> None:
        """Take all that has come: what lies unread would in the end keep the other side from reaping."""
        while self._open:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, _PACKET, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                logger.warning("%s: it has ended.", self._label)
                self.lose()
                return
            try:
                self._take(json.loads(data), descriptors)
            except (ValueError, LookupError, TypeError):  # of what it imported, which may write to any descriptor
                logger.exception("%s: it sent something unreadable.", self._label)
                self.lose()

    def _take(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        match message["op"]:
            case "ready":
                if not self._ready.done():
                    self._ready.set_result(message["threads"])
            case "forked":
                self._forked(message["id"], message["pid"], descriptors[0])
            case "failed":
                self._forks.pop(message["id"]).fail(OSError(message["error"]))
            case _:
                if (child := self._children.get(message["id"])) is not None:
                    child.end(message["code"])

    def _forked(self, identifier: int, pid: int, pidfd: int) -> None:
        fork = self._forks.pop(identifier)
        # In the context of who asked: what the child prints is logged on behalf of its task.
        child = fork.context.run(ForkedChild, pid, pidfd, fork.output, fork.label)
        self._children[identifier] = child
        child.ended.add_done_callback(lambda _: self._children.pop(identifier, None))
        if fork.answer.done():  # nobody waits for it any more
            child.kill()
        else:
            fork.answer.set_result(child)


@dataclass(frozen=True, slots=True)
class _Fork:
    """A child that was asked for."""

    answer: "asyncio.Future[ForkedChild]"
    output: int
    label: str
    context: contextvars.Context

    def fail(self, error: Exception) -> None:
        os.close(self.output)
        if not self.answer.done():
            self.answer.set_exception(error)


class ForkedChild:
    """A `Child` that a preloaded process forked, and reaps."""

    def __init__(self, pid: int, pidfd: int, output: int, label: str) -> None:
        self._pid = pid
        self._mark = mark_of(pid)
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self._returncode: int | None = None
        self._lost: str | None = None
        self._output = Output(label)
        self._pipe = open(output, "rb", buffering=0)  # noqa: SIM115 - closed when its output ends
        self._loop.add_reader(pidfd, self._exited)
        self._late: asyncio.TimerHandle | None = None
        self.ended: asyncio.Task[int] = asyncio.create_task(self._watch(), name=f"watch {label}")

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        return self._returncode

    @property
    def exited(self) -> bool:
        if self._code.done():
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def lost(self) -> str | None:
        return self._lost

    def kill(self, number: int = signal.SIGKILL, *, group: bool = True) -> None:
        """See `Child.kill`. The group follows when the preloaded process reaps the child."""
        if not self._code.done():
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._pidfd, number)

    def end(self, code: int) -> None:
        """It is reaped, and its group dead."""
        if not self._code.done():
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._code.set_result(code)

    def lose(self, reason: str) -> None:
        """Nobody will tell how it ended: kill it with its group."""
        if self._code.done():
            return
        self._lost = reason
        # Its number is its group's too, which keeps it from being given to others as long as one of them lives.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        self.kill()
        self.end(-signal.SIGKILL)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._late = self._loop.call_later(_REPORT_SECONDS, self.lose, _UNTOLD)

    async def _watch(self) -> int:
        transport: asyncio.ReadTransport | None = None
        try:
            transport, _ = await self._loop.connect_read_pipe(lambda: self._output, self._pipe)
            await asyncio.shield(self._code)
        finally:
            self.lose(_LOST)  # only where this loop ends early
            self._returncode = self._code.result()
            if self._late is not None:
                self._late.cancel()
            if self._returncode != 0:
                await end_what_it_left(self._mark)
            if transport is None:
                self._pipe.close()
            else:
                await self._output.finish(transport)
        return self._returncode


def _close(descriptors: Sequence[int]) -> None:
    for each in descriptors:
        os.close(each)
