"""A chunk of log as an agent sent it, made into lines that PostgreSQL stores."""

from typing import Final

import orjson

from pavo.errors import InvalidInput
from pavo.fleet.sessions.session import LogTail
from pavo.jobs.domain import STAGES
from pavo.jobs.sql.log_lines import NewLine
from pavo.protocol import fleet_pb2 as pb

MAX_LINES: Final = 5_000
"""Of one chunk."""
MAX_TEXT_BYTES: Final = 16 * 1024
MAX_EVENT_BYTES: Final = 64 * 1024
MAX_SOURCE: Final = 200
_LEVELS: Final = frozenset(("debug", "info", "warning", "error"))
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999."""
_CUT: Final = " … (cut by the gateway)"


def lines_of(chunk: pb.LogChunk, tail: LogTail) -> list[NewLine]:
    """The lines of a chunk; the tail is moved on. A hole in the numbers that no line tells of is told by the next line.

    Raises:
        InvalidInput: there are too many, or their numbers do not rise.
    """
    if len(chunk.lines) > MAX_LINES:
        raise InvalidInput(
            f"{len(chunk.lines):,} lines in one chunk of log are too many.",
            field="lines",
            remedy="Send fewer.",
        )
    found: list[NewLine] = []
    last = 0
    for line in chunk.lines:
        if not last < line.seq < 2**62:
            raise InvalidInput(
                f"Line {line.seq} of a log comes after line {last}.", field="seq", remedy="Upgrade the agent program."
            )
        last = line.seq
        missing = max(0, line.seq - tail.seq - 1) if line.seq > tail.seq else 0
        found.append(_line(line, tail, missing))
        tail.seq = max(tail.seq, line.seq)
    return found


def _line(line: pb.LogLine, tail: LogTail, missing: int) -> NewLine:
    return NewLine(
        job_id=tail.job_id,
        epoch=tail.epoch,
        seq=line.seq,
        at_ms=min(max(line.at_ms, 0), _LAST_MS),
        stage=line.stage if line.stage in STAGES else "",
        level=line.level if line.level in _LEVELS else "info",
        source=_storable(line.source[:MAX_SOURCE]),
        event=_event(line.event),
        gap=max(min(max(line.gap, 0), 2**62), missing),
        text=_text(line.text),
    )


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def _text(text: str) -> str:
    text = _storable(text)
    if len(text) <= MAX_TEXT_BYTES // 4 or len(text.encode()) <= MAX_TEXT_BYTES:
        return text
    return text.encode()[: MAX_TEXT_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT


def _event(event: str) -> str | None:
    """A JSON object that jsonb takes; None: there is none, or it is something else."""
    if not event or len(event) > MAX_EVENT_BYTES or "\\u0000" in event:
        return None
    try:
        found: object = orjson.loads(event)
        return orjson.dumps(found).decode() if isinstance(found, dict) else None
    except (ValueError, TypeError, RecursionError):
        return None
