"""Where a reader of a socket is: in a job's timeline and its log, or among the changes of an organisation. Pure."""

from dataclasses import dataclass
from typing import Final

from pavo.errors import InvalidInput
from pavo.jobs.logs.domain import LogCursor

MAX_DIGITS: Final = 18
BEGINNING: Final = LogCursor()


@dataclass(slots=True)
class JobCursor:
    """Number of the last event, and place of the last line."""

    seq: int = 0
    line: LogCursor = BEGINNING

    def __str__(self) -> str:
        return f"{self.seq}:{self.line}"

    @classmethod
    def parse(cls, text: str) -> "JobCursor":
        """Read what `str` wrote; empty is the beginning.

        Raises:
            InvalidInput: it is none.
        """
        if not text:
            return cls()
        seq, colon, line = text.partition(":")
        if not colon or not (seq.isascii() and seq.isdigit()) or len(seq) > MAX_DIGITS:
            remedy = "Send `cursor` of the last message, or leave it out."
            raise InvalidInput(f"{text[:50]!r} is no cursor of a job.", field="after", remedy=remedy)
        return cls(int(seq), LogCursor.parse(line))


@dataclass(frozen=True, slots=True, order=True)
class ChangeCursor:
    """A place among the changes of an organisation's jobs and queue: after all of earlier transactions."""

    xid: int
    """Of the transaction."""
    id: int
    """Of the change; 0: before the first one of the transaction."""
    seconds: int
    """When it was, since 1970: by that a reader learns that changes were removed meanwhile."""

    def __str__(self) -> str:
        return f"{self.xid}.{self.id}.{self.seconds}"

    @classmethod
    def parse(cls, text: str) -> "ChangeCursor | None":
        """Read what `str` wrote; None where it is empty: from now on.

        Raises:
            InvalidInput: it is none.
        """
        if not text:
            return None
        parts = text.split(".")
        if len(parts) != 3 or not all(each.isascii() and each.isdigit() and len(each) <= MAX_DIGITS for each in parts):
            remedy = "Send `cursor` of the last message, or leave it out."
            raise InvalidInput(f"{text[:50]!r} is no cursor of an organisation.", field="after", remedy=remedy)
        return cls(*map(int, parts))
