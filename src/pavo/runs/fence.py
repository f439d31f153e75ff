"""The number of every write of a run: a write happens only while no higher one has happened.

Each run has a generation, each write of it the next transition. The row that people read holds the numbers of its last
write, is locked, and compared: a write that comes late or twice changes nothing. No clock is trusted.
`fenced_row` compares.

Workflow code: only the standard library.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Fence:
    """The number of one write of one run."""

    run_id: str
    generation: int
    transition: int

    @property
    def number(self) -> tuple[int, int]:
        """What two writes are compared by."""
        return self.generation, self.transition

    def later(self, writes: int) -> "Fence":
        """Of the write that comes so many after this one, in the same run."""
        return replace(self, transition=self.transition + writes)

    def columns(self) -> dict[str, Any]:
        """What the write stores in its row."""
        return asdict(self)
