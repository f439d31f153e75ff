"""A transcript as agents know it: its messages, and the windows in which it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from pavo.errors import AgentRefused

MAX_POSITION: Final = 2**63 - 1
"""Of PostgreSQL's bigint."""
MAX_READ: Final = 1_000
"""Messages of one reading."""
MAX_READ_BYTES: Final = 4_000_000
"""The same in bytes: a reader holds them all at once, and they cross to an agent's process in one frame."""
USUAL_READ: Final = 100
USUAL_READ_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TranscriptMessage:
    """One message of a task's transcript, as it was recorded."""

    position: int
    """From 1 on, without gaps, in the order of recording; it never changes."""
    data: Mapping[str, Any]
    """What `Step.messages` had, its members in the same order."""
    version: int
    """The version of the plan that was worked off,"""
    step: int
    """and the number of the checkpoint that it was recorded with."""
    at: datetime
    """When."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which messages are read."""

    after: int = 0
    """Those with a greater position."""
    limit: int = USUAL_READ
    max_bytes: int = USUAL_READ_BYTES
    """As many as fit so many bytes of JSON, but one at least."""
    newest: bool = False
    """Those at the end, instead of those that follow `after`."""


class TranscriptSource(Protocol):
    """Where a transcript is read."""

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        """Those messages, by position.

        Raises:
            Unavailable: it cannot be read now.
        """
        ...

    async def count(self) -> int:
        """How many there are: the position of the last one.

        Raises:
            Unavailable: it cannot be read now.
        """
        ...


class NoMessages:
    """Nothing was said: for contexts that are made by hand."""

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        """None."""
        return ()

    async def count(self) -> int:
        """None."""
        return 0


class Transcript:
    """The messages that the task's agents have recorded in its whole life, by `Step(messages=…)`.

    It is read as of now, in windows, so that a long one needs no more memory than a short one. Nothing in it is ever
    changed or taken out; a step that was not recorded left nothing in it.
    """

    def __init__(self, source: TranscriptSource) -> None:
        self.source = source
        """Where it is read."""

    async def read(
        self,
        *,
        after: int = 0,
        limit: int = USUAL_READ,
        max_bytes: int = USUAL_READ_BYTES,
        newest: bool = False,
    ) -> Sequence[TranscriptMessage]:
        """Some of its messages, by position; empty where there are none.

        Args:
            after: those with a greater position.
            limit: so many at most, 1 to 1,000.
            max_bytes: so many bytes of JSON at most, 1 to 4,000,000; one message comes in any case.
            newest: those at the end, instead of the first that follow `after`.

        Raises:
            AgentRefused: these are no numbers of a window.
        """
        return await self.source.window(checked_window(after, limit, max_bytes, newest))

    async def count(self) -> int:
        """How many messages it has: the position of the last one."""
        return await self.source.count()


def checked_window(after: object, limit: object, max_bytes: object, newest: object) -> Window:
    """The window as it is read.

    Raises:
        AgentRefused: it is none; the text names the argument.
    """
    if type(newest) is not bool:
        _refuse("newest", newest, "True or False")
    return Window(
        _checked("after", after, 0, MAX_POSITION),
        _checked("limit", limit, 1, MAX_READ),
        _checked("max_bytes", max_bytes, 1, MAX_READ_BYTES),
        newest,
    )


def _checked(name: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        _refuse(name, value, f"a whole number from {least:,} to {most:,}")
    return value


def _refuse(name: str, value: object, wanted: str) -> NoReturn:
    given = repr(value)[:100] if type(value) in (int, bool, str, float, type(None)) else type(value).__name__
    raise AgentRefused(f"transcript.read(): {name} is {given}.", field=name, remedy=f"It is {wanted}.")
