"""What those who watch an organisation are told. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.logs.domain import LogLine
from pavo.kit.clock import iso


@dataclass(frozen=True, slots=True)
class Change:
    """A job as it was after a change, or the queue."""

    cursor: ChangeCursor
    at: datetime
    job_id: uuid.UUID | None
    """None: the queue itself changed."""
    title: str | None
    """None: the job is gone since."""
    agent: str | None
    """Name of the agent that had the job."""
    data: Mapping[str, Any]

    def as_message(self) -> bytes:
        """What a socket sends of it, as JSON text in UTF-8."""
        if self.job_id is None:
            told = {"paused": self.data["paused"], "at_once": self.data["at_once"], "at": iso(self.at)}
            return message("queue", self.cursor, queue=told)
        told = {"id": str(self.job_id), "title": self.title, "at": iso(self.at), **self.data, "agent": self.agent}
        return message("job", self.cursor, job=told)


@dataclass(frozen=True, slots=True)
class Addition:
    """Lines of an attempt that were stored together: every number between the two is one of them."""

    cursor: ChangeCursor
    """After all of them."""
    job_id: uuid.UUID
    epoch: int
    first: int
    last: int

    def within(self, cursor: ChangeCursor, most: int) -> "Addition":
        """What of it comes after a cursor, and at most so many numbers; `last` below `first`: nothing."""
        here = (cursor.xid, cursor.id) == (self.cursor.xid, self.cursor.id)
        first = max(self.first, cursor.line + 1) if here and cursor.line else self.first
        last = min(self.last, first + most - 1)
        return replace(self, first=first, last=last, cursor=self.place(last))

    def place(self, seq: int) -> ChangeCursor:
        """After one of its lines."""
        return replace(self.cursor, line=seq) if seq < self.last else self.cursor


@dataclass(frozen=True, slots=True)
class AddedLine:
    """A line of a job's log."""

    cursor: ChangeCursor
    job_id: uuid.UUID
    line: LogLine

    def as_message(self) -> bytes:
        """What a socket sends of it, as JSON text in UTF-8."""
        return message("log", self.cursor, job_id=str(self.job_id), line=self.line.as_dict())


Told: TypeAlias = Change | AddedLine


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader is told next."""

    told: Sequence[Told]
    next: ChangeCursor
    """After all of it, and after lines that the reader does not want; where that is where the reader was, there is
    nothing."""


def message(kind: str, cursor: ChangeCursor, **members: object) -> bytes:
    """A message of a socket, with the cursor to come back with."""
    return orjson.dumps({"kind": kind, "cursor": str(cursor), **members})
