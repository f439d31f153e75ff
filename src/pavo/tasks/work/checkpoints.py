"""The checkpoints of one attempt, as far as it matters whether one says more than another."""

from pavo.agents.contract import JSON
from pavo.kit.json_values import decode, fingerprint


class CheckpointTrail:
    """Compares what was recorded, never the agent's objects: it may go on changing them."""

    def __init__(self, begun: JSON) -> None:
        """With the checkpoint at which the attempt begins, before the agent gets it."""
        self._begun = fingerprint(begun)
        self._text: str | None = None
        self.says_more = False
        """Whether the last one differs from the one before."""

    def add(self, text: str) -> None:
        """The next one is recorded, as JSON text."""
        if self._text is None:
            self.says_more = fingerprint(decode(text)) != self._begun
        else:
            self.says_more = text != self._text
        self._text = text

    def fingerprint(self) -> str:
        """Of the last one."""
        return self._begun if self._text is None else fingerprint(decode(self._text))
