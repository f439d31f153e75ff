"""What an agent emitted in a trial, as viewers saw it."""

from collections.abc import Mapping

from pavo.agents.checks import checked_delta
from pavo.agents.contract import JSON
from pavo.timeline.merge import Members, merged


class Emitted:
    """Of each step what the last attempt at it said; checks it as Pavo does."""

    def __init__(self) -> None:
        self.said: dict[int, dict[str, Members]] = {}
        """By step and type; step 0 is planning."""
        self._by: dict[int, object] = {}

    def forget(self) -> None:
        """Another life begins."""
        self.said, self._by = {}, {}

    def emitter(self) -> "AttemptEmitter":
        """That of one attempt."""
        return AttemptEmitter(self)

    def add(self, by: object, step: int, event_type: str, data: Members) -> None:
        """Take what one attempt says."""
        if self._by.get(step) is not by:
            self._by[step], self.said[step] = by, {}
        self.said[step][event_type] = merged(self.said[step].get(event_type), data)


class AttemptEmitter:
    """See `pavo.agents.contract.Emitter`."""

    def __init__(self, emitted: Emitted) -> None:
        self._emitted = emitted

    def emit(self, step: int, type: str, data: Mapping[str, JSON]) -> None:
        """Keep it."""
        event = checked_delta(type, data)
        self._emitted.add(self, step, event.type, event.data)
