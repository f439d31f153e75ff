"""The wire of timelines: an event, a page of events."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class EventOut(BaseModel):
    """An event of the timeline; more members by type."""

    model_config = ConfigDict(extra="allow")

    seq: int
    type: str
    at: datetime


class EventPage(BaseModel):
    """Events, oldest first."""

    items: list[EventOut]
    last_seq: int
    """The timeline's newest number."""
    closed: bool
    """Nothing will follow."""
