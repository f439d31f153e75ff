"""Where an agent says what is shown before it is recorded."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

JSON: TypeAlias = Any


class Emitter(Protocol):
    """Where deltas go."""

    def emit(self, step: int, type: str, data: Mapping[str, JSON]) -> None:
        """Show it, as of a step; returns at once."""
        ...


class NobodyLooks:
    """Nothing is shown: for contexts that are made by hand."""

    def emit(self, step: int, type: str, data: Mapping[str, JSON]) -> None:
        """Drop it."""
