"""Wire shapes of jobs' logs."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from pavo.jobs.logs.domain import LogPage


class JobLogLine(BaseModel):
    """A line of a job's log."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """Its place: the attempt's number and its own in that, as 1-250. What `after` and Last-Event-ID name."""
    epoch: int
    """Number of the attempt."""
    seq: int
    """From 1 within the attempt."""
    at: datetime
    """By the agent's clock."""
    stage: str
    level: str
    """debug, info, warning or error."""
    source: str
    """program, verify:<name>, prepare:<name>, git or agent."""
    text: str
    event: dict[str, Any] | None
    """What was parsed of it: a message, a call of a tool, a file, tokens."""
    gap: int
    """So many lines before it were dropped at the agent."""


class JobLogPage(BaseModel):
    """Lines of a job's log, in order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[JobLogLine]
    next: str
    """What `after` is for the next page: the last line's id, or the one that was asked with."""
    more: bool
    """Whether lines follow already."""


def page_out(found: LogPage) -> JobLogPage:
    """A page as it is shown."""
    items = [JobLogLine.model_validate(line.as_dict()) for line in found.lines]
    return JobLogPage(items=items, next=str(found.next), more=found.more)
