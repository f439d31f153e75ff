"""What is said of a program that runs: its bounds, a line of its output, how it ended, and that it is to end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

LINE_BYTES: Final = 16_000
"""Of a line of output; what is longer is cut, and says so."""
OUTPUT_BYTES: Final = 2_000_000_000
"""After which a program is ended that only prints."""

EndedBy: TypeAlias = Literal[
    "exit", "terminal_event", "idle", "timeout", "output", "cancelled", "not_started", "supervisor_lost"
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run."""

    timeout_seconds: float | None = None
    """For all of it."""
    idle_seconds: float | None = None
    """Without a byte of output."""
    grace_seconds: float = 5.0
    """Between SIGTERM and the end of whatever is left."""
    line_bytes: int = LINE_BYTES
    output_bytes: int = OUTPUT_BYTES
    control_group: bool = True
    """Whether a control group is used too, where one is to be had."""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line that the program, or whatever it has started, printed."""

    stream: Literal["stdout", "stderr"]
    text: str
    """Without its end; what is no UTF-8 is replaced."""
    cut_bytes: int = 0
    """So many more it had."""


OnLine: TypeAlias = Callable[[OutputLine], Awaitable[None]]
"""Told each line, those of a stream in order; while it waits the program has to wait too, once its pipe is full."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. Nothing of its tree is left, but for `left`."""

    ended_by: EndedBy
    exit_code: int | None
    """As a shell tells it: 128 and more, a signal ended it. None: it never ran, or nobody saw its end."""
    seconds: float
    killed: int = 0
    """Processes that did not end by themselves."""
    left: int = 0
    """Processes that cannot be killed: another user's."""
    output_bytes: int = 0
    error: str = ""
    """Why it could not be started."""

    @property
    def passed(self) -> bool:
        """Whether it ended by itself, with exit code 0."""
        return self.ended_by == "exit" and self.exit_code == 0


class Ending:
    """Asks a program that runs to end: given to `run`, called by whoever knows. Belongs to one event loop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.why: EndedBy = "cancelled"
        self.until = 0.0
        """When it is ended, by the monotonic clock."""

    def finish(self, grace_seconds: float) -> None:
        """It has said its last word: it may end by itself for so long, and is ended then."""
        if not self.asked.is_set():
            self.why, self.until = "terminal_event", time.monotonic() + grace_seconds
            self.asked.set()

    def cancel(self) -> None:
        """End it now. Overrides `finish`."""
        self.why, self.until = "cancelled", 0.0
        self.asked.set()
