"""What is wrong with a definition, and where."""

import difflib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pavo.errors import InvalidInput

Path: TypeAlias = tuple[str | int, ...]
"""Members and indices from the definition's top, such as `("steps", "pay", "needs", 0)`."""

MAX_PROBLEMS: Final = 100
"""That are told of one definition."""
MAX_TOLD: Final = 1_000
"""Characters of a path, of what is wrong there, and of the remedy."""
MAX_COMPARED: Final = 130
"""Characters of a name that is compared with others: no name of a flow's is longer."""
MAX_CANDIDATES: Final = 12
"""That are compared: comparing two takes up to a millisecond."""


@dataclass(frozen=True, slots=True)
class Place:
    """In a text; both begin at 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One of a definition's."""

    path: Path
    message: str
    remedy: str
    place: Place

    @property
    def told(self) -> str:
        """For people, in one line."""
        where = f"{self.place.line}:{self.place.column}"
        return f"{where}: {written(self.path)}: {self.message}. {self.remedy}".replace("..", ".")


class WrongDefinition(InvalidInput):
    """A definition is no flow. `problems` tells all that is wrong with it; nothing is kept of it."""

    title = "The flow is wrong"

    def __init__(self, problems: Sequence[Problem]) -> None:
        problems = [replace(each, message=_cut(each.message), remedy=_cut(each.remedy)) for each in problems]
        first, more = problems[0], len(problems) - 1
        detail = first.told + (f" And {more} more." if more else "")
        shown = [
            {
                "path": written(each.path),
                "line": each.place.line,
                "column": each.place.column,
                "message": each.message,
                "remedy": each.remedy,
            }
            for each in problems[:MAX_PROBLEMS]
        ]
        super().__init__(detail, field=written(first.path), remedy=first.remedy, problems=shown)
        self.problems = problems[:MAX_PROBLEMS]


class Places:
    """Where each value of a definition stands."""

    def __init__(self, places: Mapping[Path, Place]) -> None:
        self._places = places

    def of(self, path: Path) -> Place:
        """Of a value; where it is not there, of the nearest that holds it."""
        for length in range(len(path), -1, -1):
            if (found := self._places.get(path[:length])) is not None:
                return found
        return Place(1, 1)


def written(path: Path) -> str:
    """A path as people write it, such as `steps.pay.needs[0]`."""
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return _cut(text.removeprefix(".")) or "the flow"


def _cut(text: str) -> str:
    """Names in it may be as long as the whole text."""
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}…"


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy for a name that is not known. Of many names those are compared that begin and end as it does."""
    if len(name) > MAX_COMPARED:
        return otherwise
    compared = [each for each in known if len(each) <= MAX_COMPARED]
    if len(compared) > MAX_CANDIDATES:
        compared = heapq.nlargest(MAX_CANDIDATES, compared, key=lambda each: _alike(name, each))
    found = difflib.get_close_matches(name, compared, 1)
    return f"Did you mean {found[0]!r}?" if found else otherwise


def _alike(one: str, other: str) -> int:
    """How many characters two names have in common at their beginnings and their ends."""
    begins = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    ends = next((at for at, (a, b) in enumerate(zip(reversed(one), reversed(other), strict=False)) if a != b), 0)
    return begins + ends
