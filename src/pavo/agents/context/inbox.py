"""What people said to a task, as its agent reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What somebody said to the task while it was under way."""

    seq: int
    """Its number in the task's timeline: a later message has a greater one."""
    body: str
    author: str
    """The address of who said it."""
    at: datetime


class Inbox(Protocol):
    """What people said to the task."""

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """Those with a greater `seq`, in the order of their `seq`."""
        ...


class EmptyInbox:
    """Nobody said anything: for contexts that are made by hand."""

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """None."""
        return ()
