"""An answer's chunks as they come, told to all who wait for the answer."""

from typing import Final, Protocol

from pavo.llm.assembling import Chunk
from pavo.llm.client import Told

KEPT_CHARACTERS: Final = 100_000
"""So much of what was said so far is kept for whoever comes later: more than anybody is shown."""


class ToldTries(Protocol):
    """Who is told an answer's chunks as they come, anew with each try. Raises nothing, and returns at once."""

    def begin(self, number: int, before: str | None = None) -> Told:
        """Of this try, from 1; of one that is under way already, the text of what it said so far."""
        ...


class Telling:
    """See `ToldTries`: tells all who join. Belongs to one event loop."""

    def __init__(self) -> None:
        self._all: list[ToldTries] = []
        self._takers: list[Told] = []
        self._number = 0
        self._said: list[str] = []
        self._length = 0

    def join(self, told: ToldTries | None) -> None:
        """Tell this one too, from here on, and what was said so far."""
        if told is not None:
            self._all.append(told)
            if self._number:
                self._takers.append(told.begin(self._number, "".join(self._said)))

    def begin(self, number: int, before: str | None = None) -> Told:
        """A try begins."""
        self._number, self._said, self._length = number, [], 0
        self._takers = [each.begin(number, before) for each in self._all]
        return self._tell

    def _tell(self, chunk: Chunk) -> None:
        if self._length < KEPT_CHARACTERS:
            self._said.append(chunk.text)
            self._length += len(chunk.text)
        for taker in self._takers:
            taker(chunk)


class Both:
    """Tells two what a model says."""

    def __init__(self, first: ToldTries, second: ToldTries) -> None:
        self._first, self._second = first, second

    def begin(self, number: int, before: str | None = None) -> Told:
        """A try begins, for both."""
        first, second = self._first.begin(number, before), self._second.begin(number, before)

        def tell(chunk: Chunk) -> None:
            first(chunk)
            second(chunk)

        return tell
