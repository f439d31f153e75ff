"""The program above a program: starts it in a session of its own, adopts whatever loses its parent below, and leaves
nothing of it behind.

`python -P -m pavo.remote.processes.supervisor PARENT REQUEST INPUT STATUS`; the last three are descriptors: a JSON
document {argv, cwd, env, group}, the program's standard input, and where it is told, one JSON object a line, {started},
{exit}, {swept, left} or {error}. On standard input a line "end SECONDS" asks for the program's end: SIGTERM to all that
it has started, then so long for it to end. When standard input ends (its agent has died), at SIGTERM, and when the
program has ended, everything below is killed.
"""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from typing import Any, Final

from pavo.kit.descendants.below import adopt_orphans
from pavo.kit.descendants.remains import below
from pavo.kit.descendants.sweep import Swept, reap, signal_all, sweep_below
from pavo.kit.processes import ask_for_parents_end
from pavo.remote.processes.groups import ControlGroup

SWEEP_SECONDS: Final = 5.0
_TOLD: Final = 1_000
"""Characters of an error."""
_EXIT_AFTER_SIGNAL: Final = 128


class _Supervisor:
    """Watches over one program."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._main = 0
        self._until: float | None = None
        """When its time is over, once it is told to end."""
        self._has_ended = False

    def tell(self, **what: Any) -> None:
        """A line to the agent, which may be gone."""
        with contextlib.suppress(OSError):
            os.write(self._status, json.dumps(what).encode() + b"\n")

    def reaped(self, found: dict[int, int]) -> None:
        """Note the end of the program itself."""
        if self._main in found and not self._has_ended:
            self._has_ended = True
            code = found[self._main]
            self.tell(exit=code if code >= 0 else _EXIT_AFTER_SIGNAL - code)

    def follow(self, main: int, awake: int) -> None:
        """Wait until the program has ended, or its time is over."""
        self._main = main
        while True:
            self.reaped(reap())
            if self._has_ended or (self._until is not None and time.monotonic() >= self._until):
                return
            wait = None if self._until is None else max(self._until - time.monotonic(), 0)
            ready = select.select([0, awake], [], [], wait)[0]
            if awake in ready and signal.SIGTERM in os.read(awake, 4096):
                return
            if 0 in ready and not self._heard():
                return

    def _heard(self) -> bool:
        """Take what the agent says; False when it is gone, or will not wait."""
        said = os.read(0, 4096)
        if not said:
            return False
        with contextlib.suppress(ValueError, IndexError):
            seconds = float(said.decode().splitlines()[-1].split()[1])
            self._until = time.monotonic() + seconds
            found = below(os.getpid())
            signal_all(found, signal.SIGTERM)
            signal_all(found, signal.SIGCONT)  # who stands still cannot end
        return True


def _go_on(*_: object) -> None:
    """What a signal does beside waking `follow`."""


def _awake() -> int:
    """A descriptor that can be read when a signal has come."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for each in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(each, _go_on)
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    return reading


def _started(request: dict[str, Any], source: int, group: ControlGroup | None) -> int:
    """The program's pid. The supervisor itself keeps neither end of its output."""

    def prepare() -> None:
        for each in (signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        if group is not None:
            with contextlib.suppress(OSError):  # the sweep does it too
                group.enter()

    process = subprocess.Popen(
        request["argv"],
        cwd=request["cwd"],
        env=request["env"],
        stdin=source,
        start_new_session=True,
        preexec_fn=prepare,
    )
    process.returncode = 0  # whoever ends below is reaped by pid here, and not by that object
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (1, 2):
        os.dup2(nothing, each)
    return process.pid


def _swept(supervisor: _Supervisor, group: ControlGroup | None) -> Swept:
    before: set[int] = set()
    if group is not None:
        before = group.members() - {os.getpid()}
        group.kill()
    found = sweep_below(SWEEP_SECONDS, supervisor.reaped)
    found.killed |= before
    if group is not None:
        group.remove()
    return found


def main(parent: int, request_from: int, source: int, status: int) -> None:
    """Run the program."""
    supervisor, awake = _Supervisor(status), _awake()
    adopt_orphans()
    ask_for_parents_end(signal.SIGTERM)
    if os.getppid() != parent:
        return
    os.set_inheritable(status, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(request_from, "rb") as request_file:
        request = json.loads(request_file.read())
    group = ControlGroup.make(request["group"]) if request["group"] else None
    try:
        pid = _started(request, source, group)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        if group is not None:
            group.remove()
        supervisor.tell(error=str(error)[:_TOLD])
        return
    os.close(source)
    supervisor.tell(started=pid)
    try:
        supervisor.follow(pid, awake)
    finally:
        found = _swept(supervisor, group)
        supervisor.tell(swept=len(found.killed), left=len(found.left))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
