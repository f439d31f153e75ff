"""A small memory of recent look-ups, because every request needs to know who it is from."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class BriefCache(Generic[V]):
    """Values that are kept for a few seconds.

    Args:
        seconds: how long a value is believed.
        size: entries at most; beyond it the oldest go.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._entries: dict[Hashable, tuple[float, V]] = {}
        self.generation = 0
        """Raised by every `clear`. A look-up that began in an older generation must not be kept."""

    def get(self, key: Hashable) -> V | None:
        """The value, unless it is too old."""
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock():
            return None
        return entry[1]

    def put(self, key: Hashable, value: V, generation: int) -> None:
        """Keep what was looked up since `generation`; a value from before a `clear` is dropped."""
        if generation != self.generation:
            return
        self._entries.pop(key, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (self._clock() + self._seconds, value)

    def clear(self) -> None:
        """Forget everything, also what is being looked up at this moment."""
        self._entries.clear()
        self.generation += 1
