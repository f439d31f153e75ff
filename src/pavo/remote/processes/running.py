"""Running a program: below a supervisor of its own, bounded in time and output, and ended with all that it started."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pavo.kit.descendants.remains import kill_marked
from pavo.remote.processes.contract import Ended, EndedBy, Ending, Limits, OnLine, OutputLine
from pavo.remote.processes.groups import end_group
from pavo.remote.processes.pipes import Pipe
from pavo.remote.processes.supervisor import SWEEP_SECONDS

MARK: Final = "PAVO_AGENT_RUN"
"""In the environment of a program, and so of what it starts: which run it belongs to."""
_SUPERVISES: Final = "PAVO_AGENT_SUPERVISES"
"""In the environment of a supervisor: the mark of its program."""
_MORE_SECONDS: Final = 3.0
"""For a supervisor beyond what it may take, before it is killed itself."""
_TICK_SECONDS: Final = 0.25


async def _ignore(_: OutputLine) -> None:
    """For programs whose output is of no interest."""


async def run(
    argv: Sequence[str],
    *,
    cwd: Path | str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    limits: Limits | None = None,
    on_line: OnLine = _ignore,
    ending: Ending | None = None,
    mark: str | None = None,
) -> Ended:
    """Run a program to its end, however that comes; neither it nor anything that it has started is left then.

    A cancellation of this coroutine ends the program too, and is raised when it has ended.

    Args:
        env: all of its environment; nothing of the agent's own is added but a mark.
        stdin: all that it can read on its standard input.
        on_line: told what it prints; what it raises ends the program, and is raised here.
        ending: by which others ask for the program's end.
        mark: names the run, so that another life of the agent finds what is left of it (`end_remains`).

    Returns:
        How it ended, also where it could not be started.
    """
    mark = _whole(mark or secrets.token_hex(16))
    program = _Program(limits or Limits(), ending or Ending(), mark)
    try:
        program.start(list(argv), str(cwd), {**env, MARK: mark}, stdin, on_line)
    except OSError as error:
        return Ended("not_started", None, 0.0, error=str(error))
    followed = asyncio.ensure_future(program.follow())
    try:
        return await asyncio.shield(followed)
    except asyncio.CancelledError:
        program.ending.cancel()
        await _until_done(followed)
        raise


async def _until_done(followed: "asyncio.Future[Ended]") -> None:
    """However often it is cancelled: the program is ending, and what it has started must not outlive this."""
    while not followed.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({followed})
    if not followed.cancelled():
        followed.exception()


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and how it ended."""

    ended: Ended
    stdout: str
    stderr: str
    """Of each the first lines, as many as were asked for."""


async def run_for_output(argv: Sequence[str], *, max_bytes: int = 1_000_000, **how: Any) -> Output:
    """`run`, for programs whose output is wanted as one text.

    Args:
        max_bytes: of each stream; further lines are dropped.
        how: as for `run`.
    """
    kept: dict[str, list[str]] = {"stdout": [], "stderr": []}
    sizes = {"stdout": 0, "stderr": 0}

    async def keep(line: OutputLine) -> None:
        sizes[line.stream] += len(line.text) + 1
        if sizes[line.stream] <= max_bytes:
            kept[line.stream].append(line.text + "\n")

    ended = await run(argv, on_line=keep, **how)
    return Output(ended, "".join(kept["stdout"]), "".join(kept["stderr"]))


def end_remains(mark: str, seconds: float = SWEEP_SECONDS + _MORE_SECONDS) -> None:
    """End what is left of a run of an earlier life of this agent; call it on a thread, and before its worktree is used
    again. Its supervisor, which ends with the agent that started it, is waited for first.

    Args:
        seconds: for the supervisor.
    """
    mark = _whole(mark)
    wanted, until = f"{_SUPERVISES}={mark}".encode(), time.monotonic() + seconds
    while time.monotonic() < until and any(_has(place, wanted) for place in Path("/proc").glob("[0-9]*")):
        time.sleep(0.02)
    kill_marked(_SUPERVISES, mark)
    kill_marked(MARK, mark)
    end_group(mark)


def _whole(mark: str) -> str:
    """So that no mark is the beginning of another one."""
    return mark if mark.endswith(";") else f"{mark};"


def _has(place: Path, wanted: bytes) -> bool:
    try:
        return wanted in (place / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


@dataclass(slots=True)
class _Told:
    """What the supervisor has said so far."""

    exit_code: int | None = None
    swept: int = 0
    left: int = 0
    error: str = ""
    complete: bool = False

    def take(self, line: OutputLine) -> None:
        """Nobody but the supervisor writes there."""
        match json.loads(line.text):
            case {"exit": int(code)}:
                self.exit_code = code
            case {"swept": int(swept), "left": int(left)}:
                self.swept, self.left, self.complete = swept, left, True
            case {"error": str(error)}:
                self.error = error
            case _:
                pass


@dataclass(slots=True)
class _Program:
    """One that runs."""

    limits: Limits
    ending: Ending
    mark: str
    told: _Told = field(default_factory=_Told)
    begun: float = field(default_factory=time.monotonic)
    _process: "subprocess.Popen[bytes] | None" = None
    _control: int = -1
    _pipes: list[Pipe] = field(default_factory=list[Pipe])
    _status: Pipe | None = None

    def start(self, argv: list[str], cwd: str, env: dict[str, str], stdin: bytes, on_line: OnLine) -> None:
        """Start the supervisor, on the thread of the loop, for it ends with the thread that started it.

        Raises:
            OSError: no process, descriptor or memory more.
        """
        mark = self.mark if self.limits.control_group else ""
        request = json.dumps({"argv": argv, "cwd": cwd, "env": env, "group": mark}).encode()
        with contextlib.ExitStack() as ours:
            request_file, input_file = (ours.enter_context(_file_of(each)) for each in (request, stdin))
            ends = [os.pipe() for _ in range(4)]
            theirs = [ends[0][0], ends[1][1], ends[2][1], ends[3][1]]
            for each in theirs:
                ours.callback(os.close, each)
            kept = [ends[0][1], ends[1][0], ends[2][0], ends[3][0]]
            descriptors = [request_file.fileno(), input_file.fileno(), theirs[3]]
            numbers = [str(number) for number in (os.getpid(), *descriptors)]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "pavo.remote.processes.supervisor", *numbers],
                    stdin=theirs[0],
                    stdout=theirs[1],
                    stderr=theirs[2],
                    pass_fds=descriptors,
                    start_new_session=True,
                    env={**_supervisors_environment(), _SUPERVISES: self.mark},
                )
            except OSError:
                for each in kept:
                    os.close(each)
                raise
        self._control = kept[0]
        lines = self.limits.line_bytes
        self._pipes = [Pipe(kept[1], "stdout", lines, on_line), Pipe(kept[2], "stderr", lines, on_line)]
        self._status = Pipe(kept[3], "stdout", 16_000, self._take)

    async def _take(self, line: OutputLine) -> None:
        with contextlib.suppress(ValueError):
            self.told.take(line)

    async def follow(self) -> Ended:
        """Until it has ended."""
        assert self._status is not None and self._process is not None
        status = asyncio.create_task(self._status.follow())
        readers = [asyncio.create_task(pipe.follow()) for pipe in self._pipes]
        try:
            why = await self._until_over(status, readers)
            if why != "exit":
                await self._end(status, self.limits.grace_seconds)
            for pipe in self._pipes:
                pipe.end()
            await asyncio.gather(*readers)
        finally:
            await self._close(status, readers)
        return self._ended(why)

    async def _until_over(self, status: "asyncio.Task[None]", readers: "list[asyncio.Task[None]]") -> EndedBy:
        """Until it has ended by itself, or why it must end."""
        asked = asyncio.create_task(self.ending.asked.wait())
        try:
            while not status.done():
                if (why := self._must_end(readers)) is not None:
                    return why
                waited = {status} if asked.done() else {status, asked}
                broken = {reader for reader in readers if not reader.done()}
                await asyncio.wait(waited | broken, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return self.ending.why if self.ending.asked.is_set() else "exit"

    def _must_end(self, readers: "list[asyncio.Task[None]]") -> EndedBy | None:
        now, limits = time.monotonic(), self.limits
        if any(reader.done() and reader.exception() is not None for reader in readers):
            return "cancelled"
        if self.ending.asked.is_set() and now >= self.ending.until:
            return self.ending.why
        if limits.timeout_seconds is not None and now > self.begun + limits.timeout_seconds:
            return "timeout"
        if sum(pipe.received for pipe in self._pipes) > limits.output_bytes:
            return "output"
        if limits.idle_seconds is not None and not self.ending.asked.is_set() and self._is_idle(now):
            return "idle"
        return None

    def _is_idle(self, now: float) -> bool:
        assert self.limits.idle_seconds is not None
        return now > max(pipe.last_byte for pipe in self._pipes) + self.limits.idle_seconds

    async def _end(self, status: "asyncio.Task[None]", grace: float) -> None:
        """Ask the supervisor, and end it where it does not answer."""
        with contextlib.suppress(OSError):
            os.write(self._control, f"end {grace}\n".encode())
        await asyncio.wait({status}, timeout=grace + SWEEP_SECONDS + _MORE_SECONDS)

    async def _close(self, status: "asyncio.Task[None]", readers: "list[asyncio.Task[None]]") -> None:
        assert self._process is not None and self._status is not None
        os.close(self._control)  # a supervisor that still lives ends all
        await asyncio.wait({status}, timeout=SWEEP_SECONDS + _MORE_SECONDS)
        for each in (status, *readers):
            each.cancel()
        await asyncio.gather(status, *readers, return_exceptions=True)
        for pipe in (*self._pipes, self._status):
            pipe.close()
        process = self._process
        if not self.told.complete and not self.told.error:
            process.kill()  # it has died, or is held: what it had below has the mark, or is in the group
            await asyncio.to_thread(end_remains, self.mark, 0.0)
        await asyncio.to_thread(process.wait)

    def _ended(self, why: EndedBy) -> Ended:
        told, seconds = self.told, round(time.monotonic() - self.begun, 3)
        if told.error:
            return Ended("not_started", None, seconds, error=told.error)
        if not told.complete and why == "exit":
            why = "supervisor_lost"
        received = sum(pipe.received for pipe in self._pipes)
        return Ended(why, told.exit_code, seconds, told.swept, told.left, received)


def _supervisors_environment() -> dict[str, str]:
    """What the interpreter needs to find this package, and nothing that is the agent's own."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV") if name in os.environ}


def _file_of(content: bytes) -> IO[bytes]:
    """An open file without a name, to be read from its beginning.

    Raises:
        OSError: no descriptor or no space more.
    """
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("pavo"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.flush()
    file.seek(0)
    return file
