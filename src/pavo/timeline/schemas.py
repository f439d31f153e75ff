"""The wire of timelines: an event, a page of events. A slice narrows both by what its own events say."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class EventOut(BaseModel):
    """An event of the timeline; more members by type."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    seq: int
    """Its number in the timeline: from 1, without gaps."""
    type: str
    at: datetime
    """When it was recorded."""


class EventPage(BaseModel):
    """Events, oldest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[EventOut]
    last_seq: int
    """The timeline's newest number."""
    closed: bool
    """Nothing will follow."""
