"""The wire of transcripts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pavo.transcripts.domain import MAX_POSITION, MAX_READ, TranscriptMessage, Window

MAX_PAGE_BYTES = 1_000_000


class TranscriptMessageOut(BaseModel):
    """One message, as it was recorded."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    position: int
    """From 1 on, without gaps, in the order of recording."""
    version: int
    """Of the plan that was worked off."""
    step: int
    """The number of the checkpoint that it was recorded with."""
    at: datetime
    data: dict[str, Any]
    """What the agent recorded."""


class TranscriptPage(BaseModel):
    """A page of a task's transcript, by position."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[TranscriptMessageOut]
    next: int
    """To be sent as `after` for what follows; without items there is nothing more yet."""
    count: int
    """How many messages there are by now."""


class TranscriptQuery(BaseModel):
    """Which page is wanted."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    after: int = Field(0, ge=0, le=MAX_POSITION)
    """Messages with a greater position."""
    limit: int = Field(100, ge=1, le=MAX_READ)
    """So many at most."""
    bytes: int = Field(256_000, ge=1, le=MAX_PAGE_BYTES)
    """So many bytes of messages at most; one message in any case."""
    newest: bool = False
    """Those at the end, instead of the first that follow `after`."""

    @property
    def window(self) -> Window:
        """The same, as transcripts are read."""
        return Window(self.after, self.limit, self.bytes, self.newest)


def page_of(messages: Sequence[TranscriptMessage], count: int, after: int) -> TranscriptPage:
    """A page as the API answers it."""
    items = [TranscriptMessageOut(**{name: getattr(each, name) for name in _MEMBERS}) for each in messages]
    return TranscriptPage(items=items, next=items[-1].position if items else after, count=count)


_MEMBERS = tuple(TranscriptMessageOut.model_fields)
