"""A program that runs for an agent, below its process: JSON, one object a line, to it and from it."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, cast

from pavo.adapters.commands.lines import MAX_LINE, Lines, TooLong
from pavo.agents.contract import JSON
from pavo.errors import AgentRefused
from pavo.kit.descendants.below import adopts_orphans, children, end_below
from pavo.kit.json_values import decode, encode
from pavo.kit.processes import child_dies_with_us

END_SECONDS: Final = 1.0
"""For a program to end by itself once its input is closed, before SIGKILL."""
MAX_UNREAD: Final = 8_000_000
"""Bytes that are kept for a program that does not read what it is told."""
_LOOK_SECONDS: Final = 0.2
"""Between two looks whether it has ended: what it has started may keep its output open."""
_KILL_SECONDS: Final = 3.0
_SHOWN: Final = 200


class ProgramFailed(RuntimeError):
    """The program ended, hung or spoke otherwise than it should; the text says how."""


class Program:
    """One that runs, in the process group of its agent: what ends that ends it, and all that it starts. What it prints
    on standard error goes where the agent's output goes. Made by `start`; belongs to the agent's event loop.

    Args:
        spared: children that the agent's process had before.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", label: str, spared: set[int]) -> None:
        self._process, self._label, self._spared = process, label, spared
        self._lines = Lines()
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "Program":
        """Start it.

        Raises:
            AgentRefused: there is no such program.
        """
        spared = children()
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - that thread must start it which lives as long as the agent
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=dict(environment),
                preexec_fn=child_dies_with_us(signal.SIGKILL),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            remedy = "Install it on every worker; let confined agents read it by PAVO_AGENT_PATHS."
            raise AgentRefused(f"{command[0]} cannot be run: {error}.", remedy=remedy) from error
        program = cls(process, command[0], spared)
        try:
            await program._connect()
        except BaseException:
            await program.end()
            raise
        return program

    async def _connect(self) -> None:
        loop, process = asyncio.get_running_loop(), self._process
        self._input, _ = await loop.connect_write_pipe(asyncio.Protocol, process.stdin)
        self._output, _ = await loop.connect_read_pipe(lambda: self._lines, process.stdout)

    def tell(self, what: Mapping[str, JSON]) -> None:
        """Send it a line; nothing where it does not listen any more.

        Raises:
            ProgramFailed: it has not read what it was told before.
        """
        if self._input is None or self._input.is_closing():
            return
        if self._input.get_write_buffer_size() > MAX_UNREAD:
            raise ProgramFailed(f"{self._label} does not read what it is told on its standard input.")
        self._input.write(encode(what) + b"\n")

    async def said(self, seconds: float) -> dict[str, Any]:
        """The next line.

        Args:
            seconds: for so long it may say nothing.

        Raises:
            ProgramFailed: there is none.
        """
        until = time.monotonic() + seconds
        while (line := self._taken()) is None:
            if self._lines.ended:
                raise ProgramFailed(await self._how_it_ended())
            if time.monotonic() > until:
                raise ProgramFailed(f"{self._label} said nothing for {seconds:g} s.")
            over, before = self._process.poll() is not None, self._lines.received
            await self._lines.wait(_LOOK_SECONDS)
            if over and self._lines.received == before:  # others keep its output open, and it has said all
                raise ProgramFailed(await self._how_it_ended())
        try:
            found: object = decode(line)
        except ValueError:
            self._garbled(line)
        if not isinstance(found, dict):
            self._garbled(line)
        return cast(dict[str, Any], found)

    async def end(self) -> None:
        """End it, and whatever it has started: at once where it does not end when its input is closed."""
        try:
            if self._input is not None:
                self._input.close()
                await self._wait(END_SECONDS)
        finally:
            if self._process.poll() is None:
                self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_SECONDS)
            if adopts_orphans():  # a process of the agent's own, and of nobody else
                end_below(_KILL_SECONDS, self._spared | {self._process.pid})
            self._close()

    def _close(self) -> None:
        """Both ends; a transport closes the file that it was given."""
        if self._input is not None:
            if self._input.get_write_buffer_size():  # else it has closed itself
                self._input.abort()
        elif self._process.stdin is not None:
            self._process.stdin.close()
        if self._output is not None:
            self._output.close()
        elif self._process.stdout is not None:
            self._process.stdout.close()

    def _taken(self) -> bytes | None:
        try:
            return self._lines.take()
        except TooLong:
            raise ProgramFailed(f"{self._label} said a line of more than {MAX_LINE:,} bytes.") from None

    async def _wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return self._process.returncode

    async def _how_it_ended(self) -> str:
        code = await self._wait(END_SECONDS)
        if code is None:
            return f"{self._label} closed its output before it said that it is done."
        how = f"with exit code {code}" if code >= 0 else f"by {_signal_name(-code)}"
        half = ", in the middle of a line" if self._lines.cut else ""
        return f"{self._label} ended {how} before it said that it is done{half}."

    def _garbled(self, line: bytes) -> NoReturn:
        shown = line[:_SHOWN].decode(errors="replace").rstrip()
        raise ProgramFailed(
            f"{self._label} said {shown!r}, which is no JSON object in a line: print everything else on standard error."
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
