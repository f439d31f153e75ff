"""A command that is carried out: what its handler is given, and how it fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

from pavo.errors import PavoError
from pavo.kit.clock import now
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.journal import Attempt
from pavo.remote.processes.contract import Ending, Limits, OutputLine

Result = TypeVar("Result")
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

PREPARING: Final = "PREPARING"
EXECUTING: Final = "EXECUTING"
VERIFYING: Final = "VERIFYING"
PUBLISHING: Final = "PUBLISHING"
CLEANING: Final = "CLEANING"


class CommandFailed(PavoError):
    """A command cannot be carried out. Remedy: the one that it names.

    Args:
        kind: of the failure, a word that programs may know, such as "PushRefused".
        retryable: whether the same command may go well another time.
    """

    title = "The command failed"

    def __init__(self, detail: str, *, kind: str, remedy: str = "", retryable: bool = False) -> None:
        super().__init__(detail, remedy=remedy)
        self.kind, self.retryable = kind, retryable


class CommandCancelled(Exception):
    """A command ended because it was told to, or since its attempt was lost.

    Args:
        killed: processes.
    """

    def __init__(self, killed: int = 0) -> None:
        super().__init__(killed)
        self.killed = killed


@dataclass(slots=True)
class Work:
    """Of one command. Belongs to the agent's event loop."""

    command: pb.Command
    add_line: Callable[[Attempt, pb.LogLine], int]
    show_stage: Callable[[str], None]
    put_by: Callable[[bytes], Awaitable[None]]
    kept: bytes | None = None
    """What an earlier life of the agent put by for this command."""
    ending: Ending = field(default_factory=Ending)
    """Asked when the command is to end: give it to `run`."""
    lost: bool = False
    """Whether the attempt does not hold its job any more: nothing may be pushed."""
    stage_shown: str = ""
    until: float = field(init=False)

    def __post_init__(self) -> None:
        seconds = self.command.timeout_seconds or float("inf")
        self.until = time.monotonic() + seconds

    @property
    def attempt(self) -> Attempt:
        """Whose command it is."""
        return Attempt(self.command.job_id, self.command.epoch)

    @property
    def mark(self) -> str:
        """Of the programs that run for it."""
        return self.command.id

    @property
    def seconds_left(self) -> float | None:
        """Of the command's own time; None: it has no end."""
        return None if self.until == float("inf") else max(self.until - time.monotonic(), 0.001)

    @property
    def is_cancelled(self) -> bool:
        """Whether it was told to end."""
        return self.ending.asked.is_set() and self.ending.why == "cancelled"

    def stage(self, name: str) -> None:
        """Show a stage."""
        self.stage_shown = name
        self.show_stage(name)

    def log(self, text: str, *, source: str = "agent", level: Level = "info", event: str = "") -> None:
        """Have a line logged.

        Args:
            source: program, verify:<name>, prepare:<name>, git, agent.
            event: JSON of what was understood of it.
        """
        line = pb.LogLine(
            at_ms=int(now().timestamp() * 1000), stage=self.stage_shown, level=level, source=source, event=event
        )
        line.text = text.encode(errors="replace").decode()
        self.add_line(self.attempt, line)

    async def log_output(self, line: OutputLine, source: str) -> None:
        """Have a line of a program's output logged."""
        cut = f" … ({line.cut_bytes:,} bytes more)" if line.cut_bytes else ""
        self.log(line.text + cut, source=source)

    def limits(self, *, timeout: float | None = None, idle: float | None = None, grace: float = 5.0) -> Limits:
        """For a program of this command, which has no longer than the command itself.

        Args:
            timeout: of the program, in seconds; None or 0: the command's own.
        """
        known = [each for each in (timeout, self.seconds_left) if each]
        return Limits(min(known) if known else None, idle or None, grace)

    @contextmanager
    def cancels(self, ending: Ending) -> Generator[None]:
        """Meanwhile whoever ends the command ends this too."""

        async def follow() -> None:
            await self.ending.asked.wait()
            ending.cancel()

        following = asyncio.create_task(follow())
        try:
            yield
        finally:
            following.cancel()

    async def until_cancelled(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Do something that does not know of the command's end: it is cut then.

        Raises:
            CommandCancelled: it was told to end.
        """
        task = asyncio.ensure_future(doing)
        asked = asyncio.create_task(self.ending.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CommandCancelled
            return task.result()
        finally:
            asked.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def check(self) -> None:
        """Go no further where the command was told to end.

        Raises:
            CommandCancelled: it was.
            CommandFailed: its time is over.
        """
        if self.is_cancelled:
            raise CommandCancelled
        if time.monotonic() > self.until:
            raise CommandFailed(
                f"The command took longer than {self.command.timeout_seconds} s.",
                kind="TimedOut",
                remedy="Give it more time in the repository's or the job's options.",
            )


def warning_now(text: str) -> pb.LogLine:
    """A line of log about an attempt that no command works for."""
    return pb.LogLine(at_ms=int(now().timestamp() * 1000), level="warning", source="agent", text=text)


class Handler(Protocol):
    """Carries out a kind of command."""

    async def __call__(self, work: Work) -> pb.Result:
        """The result, of which only the outcome is read.

        Raises:
            CommandFailed: it cannot be carried out.
            CommandCancelled: it was told to end.
        """
        ...
