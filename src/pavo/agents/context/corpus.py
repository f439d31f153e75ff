"""The organisation's corpus, and whom a task runs for. Part of `contract`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hit:
    """A document of the organisation's corpus that matches a search; `rank` grows with relevance."""

    title: str
    excerpt: str
    rank: float


class Corpus(Protocol):
    """The organisation's documents."""

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The best matching documents, best first."""
        ...


@dataclass(frozen=True, slots=True)
class TaskUser:
    """Whom a task runs for: who created it."""

    id: uuid.UUID
    email: str
    name: str
    """What to call them: the part of the address before its @."""


NOBODY = TaskUser(uuid.UUID(int=0), "", "")
"""Whom a context is for that no task made, as in a test of an agent's own."""
