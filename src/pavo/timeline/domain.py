"""Events as values."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from pavo.accounts.domain import Grant
from pavo.kit.clock import iso
from pavo.kit.json_values import encode_text


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has a number; `data` are its members beside seq, type and at."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded event."""

    timeline_id: uuid.UUID
    seq: int
    type: str
    at: datetime
    data: Mapping[str, Any]
    closes: bool = False
    """Whether it is the timeline's last."""

    def as_dict(self) -> dict[str, Any]:
        """The one JSON shape that streams, `/events` and Redis share."""
        return {"seq": self.seq, "type": self.type, "at": iso(self.at), **dict(sorted(self.data.items()))}

    def as_json(self) -> bytes:
        """`as_dict` as JSON text in UTF-8, without line breaks."""
        return orjson.dumps(self.as_dict())


@dataclass(frozen=True, slots=True)
class WantedDeltas:
    """What a viewer has to know to be shown no delta beside the event that it announces."""

    settles: Callable[[bytes], int | None]
    """Up to which step deltas mean nothing after this event (JSON); None where it does not tell; -1: all count."""
    settled: int
    """The same, before the first event that tells."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a timeline tells of, as its slice found it for somebody who may watch it."""

    id: uuid.UUID
    """The timeline's too."""
    deleted: bool = False
    """Whether it is gone: its streams end, and no other begins."""
    at_rest: bool = False
    """Whether nothing goes on by itself, until somebody resumes it."""
    rests: Callable[[bytes], bool | None] | None = None
    """Whether it rests from this event (JSON) on; None where the event does not tell."""
    deltas: WantedDeltas | None = None
    """How its deltas are told from what is recorded; None: it has none."""
    grant: Grant | None = None
    """What allows whoever asked to watch it, as long as that holds; None: as long as they like."""


@dataclass(frozen=True, slots=True)
class EventsAfter:
    """Recorded events that follow a number, oldest first, and where their timeline stands."""

    events: Sequence[Event]
    last_seq: int
    """The timeline's newest number."""
    closed: bool
    """Nothing will follow `last_seq`."""


def numbered(
    timeline_id: uuid.UUID, first_seq: int, at: datetime, events: Sequence[NewEvent], *, close: bool = False
) -> list[Event]:
    """Give events the numbers that the database assigned to them."""
    last = len(events) - 1
    return [
        Event(timeline_id, first_seq + i, event.type, at, event.data, closes=close and i == last)
        for i, event in enumerate(events)
    ]


def payload(events: Sequence[NewEvent]) -> str:
    """Events as the JSON array that the database function `timeline_append` takes."""
    return encode_text([{**event.data, "type": event.type} for event in events])
