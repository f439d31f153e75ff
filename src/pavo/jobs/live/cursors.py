"""Where a reader of a job's socket is: in its timeline and in its log. Pure."""

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
