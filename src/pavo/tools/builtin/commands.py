"""Running a command for a task: in its workspace, confined as its agent is, bounded, and ended whole."""

import asyncio
import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.confining import Confining
from pavo.agents.confinement.environment import agents_environment
from pavo.errors import AgentRefused, ToolFailed
from pavo.kit.descendants.remains import kill_below, kill_marked

Mode = Literal["off", "confined", "any"]
"""Whether commands are run (PAVO_RUN_COMMAND)."""
MAX_KEPT: Final = 128_000
"""Bytes of what a command prints: one half from its beginning, the other from its end."""
MAX_PRINTED: Final = 1_000_000_000
"""Bytes after which a command is ended that only prints."""
_TICK_MS: Final = 100
"""Between two looks for a stop."""
_GRACE_SECONDS: Final = 3.0
"""For what is killed to be gone."""
_PIECE: Final = 65_536
_MAX_EXIT: Final = 255
_VARIABLE: Final = "COMMAND_OF_PAVO"
"""In the environment of a command: a mark that nobody else has."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command."""

    exit_code: int | None
    """As a shell tells it; 128 and more: a signal ended it. None: it did not end by itself."""
    ended: str
    """by itself, or why it was killed."""
    output: str
    """What it printed, errors among it."""
    omitted_bytes: int
    """In the middle of `output`, where it printed more."""
    seconds: float
    confined: str
    """What it could reach."""


@dataclass(slots=True)
class _Printed:
    """The beginning and the end of what is printed."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    total: int = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = MAX_KEPT // 2 - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        if len(self.tail) > MAX_KEPT:
            del self.tail[: -MAX_KEPT // 2]

    def text(self) -> tuple[str, int]:
        """All of it, and how many bytes were left out."""
        tail = bytes(self.tail[-MAX_KEPT // 2 :])
        omitted = self.total - len(self.head) - len(tail)
        gap = f"\n[… {omitted:,} bytes …]\n".encode() if omitted else b""
        return (bytes(self.head) + gap + tail).decode(errors="replace").replace("\0", "\ufffd"), omitted


class CommandRunner:
    """Runs the commands of one task; its coroutines belong to the agents' loop.

    Args:
        mode: what the operator allows.
        stopped: of the agent's context.
    """

    def __init__(self, confining: Confining | None, mode: Mode, task_id: uuid.UUID, stopped: asyncio.Event) -> None:
        self._confining = confining
        self._mode = mode
        self._task_id = task_id
        self._stopped = stopped

    async def hold(self) -> tuple[Confinement, str]:
        """What commands are confined to, and how that is called; the folder stays until `leave`.

        Raises:
            ToolFailed: none is run here.
        """
        if self._mode == "off" or self._confining is None:
            remedy = "An operator lets workers run commands by PAVO_RUN_COMMAND=confined."
            raise ToolFailed("This worker runs no commands.", remedy=remedy)
        level = await self._confining.level()
        if self._mode == "confined" and level.name == "none":
            remedy = "Run workers where Landlock is there, or as root; or set PAVO_RUN_COMMAND=any."
            raise ToolFailed(f"This worker cannot confine commands ({level.missing}).", remedy=remedy)
        try:
            return await self._confining.of(self._task_id), level.words.replace("they read", "commands read", 1)
        except AgentRefused as error:
            raise ToolFailed(error.detail, remedy=error.remedy) from error

    async def leave(self) -> None:
        """End what `hold` began."""
        if self._confining is not None:
            self._confining.folders.leave(self._task_id)

    def run(self, command: str, seconds: float, confinement: Confinement, told: str) -> Ran:
        """Run one, on a thread that waits for nothing else.

        Raises:
            ToolFailed: it could not be begun.
        """
        return run_confined(command, seconds, confinement, self._stopped.is_set, told)


def run_confined(
    command: str, seconds: float, confinement: Confinement, stopped: Callable[[], bool], told: str = ""
) -> Ran:
    """Run a command by a shell; neither it nor anything that it has started is left when this returns.

    Raises:
        ToolFailed: it could not be begun: nothing was run.
    """
    begun, printed, mark = time.monotonic(), _Printed(), secrets.token_hex(16)
    answer, status = os.pipe()
    try:
        try:
            process = _begin(command, confinement, status, mark)
        except OSError as error:
            raise ToolFailed(f"The command cannot be begun: {error}.", remedy="Try again later.") from error
        finally:
            os.close(status)
        with process:
            try:
                ended = _follow(process, printed, begun + seconds, stopped)
            finally:
                _end(process)
                kill_marked(_VARIABLE, mark)
        said = told_by(answer)
    finally:
        os.close(answer)
    if "error" in said:
        raise ToolFailed(f"The command was not run. {said['error']}.", remedy="Look at the worker's log.")
    code = said.get("exit") if not ended else None
    output, omitted = printed.text()
    why = ended or ("by itself" if code is not None else _unknown(process.returncode))
    return Ran(code, why, output, omitted, round(time.monotonic() - begun, 3), told)


def _unknown(code: int) -> str:
    """Why there is no exit code, by how what watches a command has ended."""
    if code < 0:
        return "killed from outside, perhaps for lack of memory"
    return "unknown: what watches it told no exit code"


def _begin(command: str, confinement: Confinement, status: int, mark: str) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-P", "-m", "pavo.tools.builtin.command_program", str(os.getpid()), str(status)]
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**command_environment(), _VARIABLE: mark},
        start_new_session=True,
        pass_fds=[status],
    )
    request = {"confinement": confinement.dump(), "path": sys.path, "command": command}
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and that is told
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.close()
    return process


def command_environment() -> dict[str, str]:
    """What programs need in general; nothing that an operator names for agents, and no password for a proxy."""
    found = agents_environment()
    return {name: value for name, value in found.items() if not (name.lower().endswith("_proxy") and "@" in value)}


def _follow(process: "subprocess.Popen[bytes]", printed: _Printed, until: float, stopped: Callable[[], bool]) -> str:
    """Read what it prints until it ends; why it is to be ended, empty where it has ended."""
    assert process.stdout is not None
    source, waiting = process.stdout.fileno(), select.poll()
    waiting.register(source, select.POLLIN | select.POLLHUP)
    while True:
        ready = waiting.poll(_TICK_MS)
        data = os.read(source, _PIECE) if ready else b""
        printed.add(data)
        if not data and (ready or _has_ended(process)):
            return ""
        if stopped():
            return "killed: the task is told to stop, or its worker ends"
        if time.monotonic() > until:
            return "killed: it took too long"
        if printed.total > MAX_PRINTED:
            return f"killed: it printed more than {MAX_PRINTED:,} bytes"


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Without forgetting it: until then no other process gets its number."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """It kills everything below at SIGTERM, and is helped where it does not; what shares its group goes in any case."""
    until = time.monotonic() + _GRACE_SECONDS
    for each in (signal.SIGTERM, signal.SIGCONT):
        os.kill(process.pid, each)  # Popen's own way to send one forgets a process that has just ended
    while not _has_ended(process) and time.monotonic() < until:
        time.sleep(0.01)
    if not _has_ended(process):
        os.kill(process.pid, signal.SIGSTOP)  # while it is there, whoever loses its parent comes to it
        kill_below(process.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def told_by(answer: int) -> Mapping[str, Any]:
    """What the program above the command told; nothing where that is not in its words: a command may have written."""
    os.set_blocking(answer, False)
    try:
        found = json.loads(os.read(answer, _PIECE))
    except (ValueError, RecursionError, BlockingIOError):
        return {}
    match found:
        case {"exit": int(code), **more} if not more and code in range(_MAX_EXIT + 1):
            return {"exit": int(code)}
        case {"error": str(error), **more} if not more:
            return {"error": error}
        case _:
            return {}
