"""Where a trial ends its agent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where an agent is ended and begun again: numbers of checkpoints."""

    after: frozenset[int] = frozenset()
    """Right after it was recorded."""
    before: frozenset[int] = frozenset()
    """The step was yielded, and is lost before it is recorded."""
    force: bool = False
    """Killed instead of closed."""
