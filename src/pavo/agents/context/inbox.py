"""What people said to a task, as its agent reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pavo.agents.context.plans import Plan


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What somebody said to the task while it was under way."""

    seq: int
    """Its number in the task's timeline: a later message has a greater one."""
    body: str
    author: str
    """The address of who said it."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Former:
    """What was done before a task that was done was followed up."""

    plan: Plan
    """That was worked off, the last time."""
    report: str
    """What came of it, in Markdown."""
    messages: Sequence[UserMessage]
    """What was said since, as of now: the first of them began this work."""


class Inbox(Protocol):
    """What people said to the task."""

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """Those with a greater `seq`, in the order of their `seq`."""
        ...

    async def former(self) -> Former | None:
        """What the work follows that is under way; None: it is the task's first."""
        ...


class EmptyInbox:
    """Nobody said anything: for contexts that are made by hand."""

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """None."""
        return ()

    async def former(self) -> Former | None:
        """None."""
        return None
