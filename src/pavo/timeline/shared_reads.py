"""Reading PostgreSQL for viewers that are behind: one read for all that are at the same place, and a few at once.

Thousands who connect, or come back, at once are all behind. If each read by itself, they would take every connection to
the database, and hold thousands of copies of the same events.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pavo.timeline import service

AT_ONCE: Final = 4
"""Reads that are under way: most connections to the database are left to everybody else."""
TOGETHER: Final = 100
"""Viewers of one read at most: all go on in one turn of the event loop, and others wait for that."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a timeline has after a number."""

    events: list[tuple[int, bytes]]
    """By number, each as JSON."""
    head: service.Head | None
    """Where it stood then; None: it is gone."""


Read: TypeAlias = Callable[[uuid.UUID, int], Awaitable[Page]]
"""Reads what a timeline has after a number."""


@dataclass(eq=False, slots=True)
class _ToCome:
    """A read that has not begun."""

    askers: int = 0
    reading: asyncio.Task[Page] = field(init=False)


_Asked: TypeAlias = tuple[uuid.UUID, int]


class SharedReads:
    """Shares reads among those who ask before they begin. Belongs to one event loop."""

    def __init__(self, read: Read, at_once: int = AT_ONCE) -> None:
        self._read = read
        self._places = asyncio.Semaphore(at_once)
        self._to_come: dict[_Asked, _ToCome] = {}

    async def page(self, timeline_id: uuid.UUID, after: int) -> Page:
        """What was committed before this call, and perhaps more.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        asked = (timeline_id, after)
        # One that has begun may have looked before what the caller knows to be there was committed.
        to_come = self._to_come.get(asked)
        if to_come is None or to_come.askers >= TOGETHER:
            to_come = self._to_come[asked] = _ToCome()
            to_come.reading = asyncio.create_task(self._in_turn(asked, to_come))
            to_come.reading.add_done_callback(_seen)
        to_come.askers += 1
        return await asyncio.shield(to_come.reading)

    async def _in_turn(self, asked: _Asked, to_come: _ToCome) -> Page:
        async with self._places:
            if self._to_come.get(asked) is to_come:
                del self._to_come[asked]
            return await self._read(*asked)


def _seen(reading: asyncio.Task[Page]) -> None:
    if not reading.cancelled():
        reading.exception()  # read: all who asked may have left
