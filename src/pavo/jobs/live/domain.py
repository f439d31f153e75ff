"""What those who watch an organisation are told. Pure."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pavo.jobs.live.cursors import ChangeCursor
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


def message(kind: str, cursor: ChangeCursor, **members: Mapping[str, Any]) -> bytes:
    """A message of a socket, with the cursor to come back with."""
    return orjson.dumps({"kind": kind, "cursor": str(cursor), **members})
