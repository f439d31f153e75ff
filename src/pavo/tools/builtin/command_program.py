"""The program above a command of `run_command`: confines itself, runs it by a shell, and leaves nothing of it behind.

`python -P -m pavo.tools.builtin.command_program PARENT STATUS`, with {confinement, path, command} as a line of standard
input. What became of it is written to the descriptor STATUS: {exit}, or {error} where nothing was run. At SIGTERM, and
when the thread that started it ends, the command and all that it has started are killed.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any, Final

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.landlock import keep_from_parents
from pavo.kit.descendants.below import adopt_orphans, kill_children
from pavo.kit.processes import ask_for_parents_end

PROCESSES: Final = 1_000
"""Of a task's own user, where it has one."""
_TOLD: Final = 1_000
"""Characters of an error."""


def main(parent: int, status: int) -> None:
    """Run the command."""
    request = json.loads(sys.stdin.buffer.readline())
    confinement = Confinement.load(request["confinement"])
    signal.signal(signal.SIGTERM, _end)
    try:
        _prepare(confinement, request["path"], parent)
    except (OSError, ValueError) as error:
        return _tell(status, error=f"It cannot be confined: {error}"[:_TOLD])
    command = ["/bin/sh", "-c", request["command"]]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=confinement.folder, preexec_fn=_apart)
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # such as no memory, no process more
        return _tell(status, error=f"/bin/sh cannot be begun: {error}"[:_TOLD])
    with process:
        code = process.wait()
    _kill_all()
    return _tell(status, exit=code if code >= 0 else 128 - code)


def _prepare(confinement: Confinement, path: list[str], parent: int) -> None:
    adopt_orphans()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if confinement.uid is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    confinement.enter(path)
    ask_for_parents_end(signal.SIGTERM)  # after that: who becomes another user is not told any more
    if os.getppid() != parent:
        os._exit(1)


def _apart() -> None:
    """The shell cannot signal this program, nor look into it; where the kernel refuses, the worker looks for what is
    left all the same."""
    with contextlib.suppress(OSError):
        keep_from_parents()


def _tell(status: int, **what: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(status, json.dumps(what).encode())


def _end(*_: object) -> None:
    _kill_all()
    os._exit(1)


def _kill_all() -> None:
    """Everything below: who is killed hands its own children to this process, which kills them next. It stays while
    there is one: the worker, which bounds that, finds them by this process."""
    while True:
        kill_children()
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
