"""The transcript of a trial's task: what its recorded steps said, in memory; and what its task follows."""

from collections.abc import Sequence

from pavo.agents.contract import Former, Step, UserMessage
from pavo.kit.clock import now
from pavo.kit.json_values import decode, encode
from pavo.transcripts.domain import TranscriptMessage, Window


class MemoryTranscript:
    """See `transcripts.domain.TranscriptSource`."""

    def __init__(self) -> None:
        self.messages: list[TranscriptMessage] = []
        """Those of the present life, by position."""

    def forget(self) -> None:
        """Another life begins."""
        self.messages = []

    def add(self, step: Step, version: int, number: int) -> None:
        """A step is recorded, and its messages with it."""
        for data in step.messages:
            position = len(self.messages) + 1
            self.messages.append(TranscriptMessage(position, decode(encode(dict(data))), version, number, now()))

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        """As Pavo reads it."""
        found = [each for each in self.messages if each.position > window.after]
        found = found[-window.limit :][::-1] if window.newest else found[: window.limit]
        size, fitting = 0, list[TranscriptMessage]()
        for message in found:
            size += len(encode(dict(message.data)))
            if fitting and size > window.max_bytes:
                break
            fitting.append(message)
        return fitting[::-1] if window.newest else fitting

    async def count(self) -> int:
        """How many there are."""
        return len(self.messages)


class GivenPast:
    """See `contract.Inbox`: what was said is what the task follows.

    Args:
        former: None where it is the task's first work.
    """

    def __init__(self, former: Former | None) -> None:
        self._former = former

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """Those that were said since the former report."""
        return [each for each in (self._former.messages if self._former else ()) if each.seq > after]

    async def former(self) -> Former | None:
        """As it was given."""
        return self._former
