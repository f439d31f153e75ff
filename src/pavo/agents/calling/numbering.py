"""What an agent's calls have in common: each is named by where it stands, and goes on to its outcome."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Placed(Protocol):
    """A call that is known by its key, or by where it stands."""

    def at(self, place: int | str, number: int) -> str:
        """Its identity, at this place and as the number of these."""
        ...


class Numbering:
    """Counts an agent's equal calls since the last checkpoint."""

    def __init__(self) -> None:
        self._place: int | str = ""
        self._made: Counter[str] = Counter()

    def identity(self, request: Placed, place: int | str) -> str:
        """What names the call: the same in every attempt that makes it."""
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
