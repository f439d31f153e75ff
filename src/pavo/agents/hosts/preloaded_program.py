"""The program of a preloaded process: it imports agents' code once, then forks a child for each attempt. Linux alone.

`python -P -m pavo.agents.hosts.preloaded_program PROTOCOL FD PARENT_PID MEMORY_MB`. Over the socket FD, in packets of
JSON, the worker sends `load` {path, agents} once, then `fork` {id, memory_mb, silence_seconds} with two descriptors:
the child's connection and its output. This process answers `ready` {threads}, `forked` {id, pid} with a pidfd,
`ended` {id, code} once a child is reaped and its process group is dead, and `failed` {id, error}.

One thread, and no code of an agent's runs in it after the import: a fork copies no lock that somebody holds. When the
worker ends, so does this process, with all children and their groups.
"""

import array
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pavo.agents.code_version import EXIT_OTHER_CODE, PROTOCOL
from pavo.agents.hosts import child_program, wire
from pavo.kit.descendants.below import adopt_orphans, end_below
from pavo.kit.processes import die_with_parent

_PACKET = 256 * 1024
_DESCRIPTORS = 1 << 20
"""Above every descriptor that a process may have."""


@dataclass(frozen=True, slots=True)
class _Forked:
    """What a child begins with."""

    request: dict[str, Any]
    end: int
    output: int


class Preloaded:
    """Forks, watches, kills and reaps; `serve` returns in each child, and never here."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}
        """By pidfd: the pid and the id under which the worker knows it. None of them is reaped yet."""

    def end(self, *_: Any) -> NoReturn:
        """End with all children and all that they have started."""
        if os.getpid() == self._pid:
            adopt_orphans()  # here alone: what the children leave comes to this process
            for pid, _identifier in self._children.values():
                _kill(pid)
            end_below(child_program.BELOW_SECONDS)
        os._exit(1)

    def serve(self) -> _Forked:
        """Answer the worker until it ends; returns in the child."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._control.fileno():
                    self._reap(descriptor)
                elif (forked := self._take()) is not None:
                    return forked

    def send(self, message: wire.Message, descriptor: int | None = None) -> None:
        """A packet to the worker; without one, end."""
        attached = (
            [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        )
        try:
            self._control.sendmsg([json.dumps(message).encode()], attached)
        except OSError:
            self.end()

    def receive(self) -> tuple[wire.Message, list[int]]:
        """The worker's next packet; without a worker, end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _PACKET, 2)
        except OSError:
            self.end()
        if not data:
            self.end()
        return json.loads(data), descriptors

    def _take(self) -> _Forked | None:
        request, (end, output) = self.receive()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):  # else each child would write what lies in the buffer again
                stream.flush()
        try:
            pid = os.fork()
        except OSError as error:
            self.send({"op": "failed", "id": request["id"], "error": str(error)})
            pid = -1
        if pid == 0:
            return _Forked(request, end, output)
        os.close(end)
        os.close(output)
        if pid > 0:
            self._watch(pid, request["id"])
        return None

    def _watch(self, pid: int, identifier: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            _kill(pid)
            os.waitpid(pid, 0)
            self.send({"op": "failed", "id": identifier, "error": str(error)})
            return
        self._children[pidfd] = (pid, identifier)
        self._poll.register(pidfd, select.POLLIN)
        self.send({"op": "forked", "id": identifier, "pid": pid}, pidfd)

    def _reap(self, pidfd: int) -> None:
        pid, identifier = self._children[pidfd]
        _kill(pid)  # not reaped yet, so the group's number is still the child's own
        _, status = os.waitpid(pid, 0)
        self._poll.unregister(pidfd)
        del self._children[pidfd]
        os.close(pidfd)
        self.send({"op": "ended", "id": identifier, "code": os.waitstatus_to_exitcode(status)})


def _kill(pid: int) -> None:
    """Kill a child with its group, also one that has no group of its own yet."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _load(agents: list[list[Any]]) -> None:
    for target, code in agents:
        # The child that is to run such an agent imports it again, and tells the error as the agent's.
        with contextlib.suppress(BaseException):
            child_program.load_as_found(target, code)


def _threads() -> list[str]:
    """The threads beside this one, also those that Python knows nothing of."""
    known = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    count = len(list(Path("/proc/self/task").iterdir())) - 1
    return [name[:100] for name in known + ["(native)"] * max(0, count - len(known))][:100]


def _begin(forked: _Forked) -> NoReturn:
    """Become the agent's process: a session of its own, no descriptor but its own, and the program."""
    parent = os.getppid()
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (forked.output, 1), (forked.output, 2)):
        os.dup2(descriptor, place)
    os.closerange(3, forked.end)
    os.closerange(forked.end + 1, _DESCRIPTORS)
    request = forked.request
    arguments = (PROTOCOL, forked.end, parent, request["memory_mb"], request["silence_seconds"])
    sys.argv[1:] = map(str, arguments)
    _reseed()
    child_program.main(*sys.argv[1:])
    os._exit(0)


def _reseed() -> None:
    """Give this child random numbers of its own where numpy is loaded; Python's own module does so by itself."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        with contextlib.suppress(Exception):
            numpy.seed()


def main(protocol: str, *arguments: str) -> NoReturn:
    """Load what the worker names, then fork until it ends."""
    if protocol != str(PROTOCOL):
        os._exit(EXIT_OTHER_CODE)
    descriptor, parent, memory_mb = arguments
    preloaded = Preloaded(socket.socket(fileno=int(descriptor)))
    die_with_parent(int(parent), preloaded.end)
    child_program.limit_memory(int(memory_mb))
    child_program.log_to_stderr()
    load, _ = preloaded.receive()
    sys.path[:] = load["path"]
    _load(load["agents"])
    gc.collect()
    gc.freeze()  # a collection in a child would else write to every page, and so copy it
    preloaded.send({"op": "ready", "threads": _threads()})
    _begin(preloaded.serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
