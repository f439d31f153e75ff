"""Where a reader of a socket is: in a job's timeline and its log, or among the changes of an organisation. Pure."""

from dataclasses import dataclass
from typing import Final

from pavo.errors import InvalidInput
from pavo.jobs.logs.domain import MAX_NUMBER, LogCursor

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


@dataclass(frozen=True, slots=True)
class ChangeCursor:
    """A place among the changes of an organisation's jobs and queue, and the lines that were stored: after all of
    earlier transactions."""

    xid: int
    """Of the transaction."""
    id: int
    """Of the change, or of what notes the lines; 0: before the first one of the transaction."""
    seconds: int
    """When it was, since 1970: by that a reader learns that changes were removed meanwhile."""
    line: int = 0
    """Within lines that were stored together: number of the last one. 0: after all of them."""

    def __str__(self) -> str:
        place = f"{self.xid}.{self.id}.{self.seconds}"
        return f"{place}.{self.line}" if self.line else place

    @classmethod
    def parse(cls, text: str) -> "ChangeCursor | None":
        """Read what `str` wrote; None where it is empty: from now on.

        Raises:
            InvalidInput: it is none.
        """
        if not text:
            return None
        parts = text.split(".")
        if len(parts) in (3, 4) and all(each.isascii() and each.isdigit() and len(each) < 20 for each in parts):
            numbers = [int(each) for each in parts]
            if max(numbers) < MAX_NUMBER:
                return cls(*numbers)
        remedy = "Send `cursor` of the last message, or leave it out."
        raise InvalidInput(f"{text[:50]!r} is no cursor of an organisation.", field="after", remedy=remedy)
