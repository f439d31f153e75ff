"""What an agent's calls have in common: each is named by where it stands, and goes on to its outcome."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Placed(Protocol):
    """A call that is known by its key, or by where it stands."""

    @property
    def key(self) -> str | None:
        """What the agent calls it."""
        ...

    def at(self, place: int | str, number: int) -> str:
        """Its identity, at this place and as the number of these."""
        ...


Where: TypeAlias = Callable[[], Awaitable[tuple[str, int] | None]]
"""Tells where the orchestrator is that calls: a name which is the same in every attempt, in at most 60 letters, digits
and _ . : -, and which run there this is, whose equal calls are counted anew. None: nowhere of its own."""


class Places:
    """Names calls by where in an orchestrator they are made. Not by the checkpoint to come, which other branches of it
    move meanwhile, or which is not the same when it runs again."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._made: Counter[tuple[int, str]] = Counter()

    async def identity(self, request: Placed) -> str | None:
        """What names the call; None: it is made nowhere of its own."""
        place = await self._where()
        if place is None:
            return None
        name = request.at(place[0], 0)
        self._made[place[1], name] += 1
        return request.at(place[0], self._made[place[1], name])


_places: Final[ContextVar[Places | None]] = ContextVar("pavo_places", default=None)


def name_calls_by(places: Places) -> None:
    """From here on, in this task and what it starts, calls without a key are named so."""
    _places.set(places)


class Numbering:
    """Counts an agent's equal calls since the last checkpoint."""

    def __init__(self) -> None:
        self._place: int | str = ""
        self._made: Counter[str] = Counter()

    async def identity(self, request: Placed, place: Callable[[], int | str]) -> str:
        """What names the call: the same in every attempt that makes it.

        Args:
            place: tells where it stands, where no orchestrator says so.
        """
        places = None if request.key is not None else _places.get()
        found = None if places is None else await places.identity(request)
        return found or self._counted(request, place())

    def _counted(self, request: Placed, place: int | str) -> str:
        if place != self._place:
            self._place = place
            self._made.clear()
        name = request.at(place, 0)
        self._made[name] += 1
        return request.at(place, self._made[name])


class CallsUnderWay:
    """Calls that an agent made. One that was begun goes on to its outcome, also where the agent gives up waiting.

    Args:
        unsettled: told of each that begins (1) and ends (-1).
    """

    def __init__(self, unsettled: Callable[[int], None]) -> None:
        self._unsettled = unsettled
        self._calls: set[asyncio.Task[Any]] = set()

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Make the call."""
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        self._unsettled(1)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._unsettled(-1)
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # read: whoever made the call may have gone
