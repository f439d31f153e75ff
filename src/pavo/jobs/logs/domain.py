"""What a line of a job's log is, and the cursor that names one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import orjson

from pavo.errors import InvalidInput
from pavo.kit.clock import iso

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
LEVELS: Final = ("debug", "info", "warning", "error")
"""From the least to the most."""
MAX_NUMBER: Final = 2**62
"""Beyond any attempt and any line, within PostgreSQL's bigint."""


@dataclass(frozen=True, slots=True, order=True)
class LogCursor:
    """A line's place: after all lines of earlier attempts."""

    epoch: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str, field: str = "after") -> "LogCursor":
        """Read what `str` wrote; empty is the beginning.

        Raises:
            InvalidInput: it is none.
        """
        if not text:
            return cls()
        epoch, dash, seq = text.partition("-")
        if dash and len(text) < 40 and all(part.isascii() and part.isdigit() for part in (epoch, seq)):
            found = cls(int(epoch), int(seq))
            if max(found.epoch, found.seq) < MAX_NUMBER:
                return found
        raise InvalidInput(
            f"{text[:50]!r} is no place in a log.", field=field, remedy="Give the id of the last line, such as 1-250."
        )


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line."""

    cursor: LogCursor
    at: datetime
    """By the agent's clock."""
    stage: str
    level: str
    source: str
    """program, verify:<name>, prepare:<name>, git, agent."""
    text: str
    event: Mapping[str, Any] | None
    """What was parsed of it."""
    gap: int
    """So many lines before it were dropped at the agent."""

    def as_dict(self) -> dict[str, Any]:
        """The one JSON shape that pages, streams and sockets share."""
        return {
            "id": str(self.cursor),
            "epoch": self.cursor.epoch,
            "seq": self.cursor.seq,
            "at": iso(self.at),
            "stage": self.stage,
            "level": self.level,
            "source": self.source,
            "text": self.text,
            "event": self.event,
            "gap": self.gap,
        }

    def as_json(self) -> bytes:
        """`as_dict` as JSON text in UTF-8, without line breaks."""
        return orjson.dumps(self.as_dict())


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted."""

    level: Level = "debug"
    """This level and above."""
    stage: str | None = None
    epoch: int | None = None

    @property
    def levels(self) -> tuple[str, ...]:
        """All that are wanted."""
        return LEVELS[LEVELS.index(self.level) :]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines after a cursor, in order, and where the next page begins."""

    lines: tuple[LogLine, ...]
    next: LogCursor
    more: bool
    """Whether lines follow already."""
