"""Models' answers while they are made, as viewers of a task see them: through what `ctx.emit` goes through."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Final

from pavo.agents.checks import storable
from pavo.agents.event_types import MODEL_TEXT
from pavo.llm.assembling import Chunk
from pavo.llm.client import Told
from pavo.timeline.merge import ANEW, Members

MOST_AT_ONCE: Final = 8
"""Answers of one task that are shown side by side; of further ones nothing is shown before they are recorded."""

Show = Callable[[int, str, Members], None]
"""Shows data of a type, as of a step."""


class ShownAnswers:
    """Those of one attempt. Each has the first place that is free, where it replaces what an earlier one said there.

    Args:
        show: `agents.emitting.coalescer.Coalescer.add`: bounds, gathers, and knows which steps are over.
    """

    def __init__(self, show: Show) -> None:
        self._show = show
        self._numbers = count(1)
        self._taken: set[int] = set()

    @contextmanager
    def place(self, step: int | None) -> Generator["ShownAnswer | None"]:
        """Where an answer of this step is shown; what is said there stays until the step is recorded, or another one
        comes."""
        number = next((each for each in range(1, MOST_AT_ONCE + 1) if each not in self._taken), None)
        if step is None or number is None:
            yield None
            return
        self._taken.add(number)
        try:
            yield ShownAnswer(self._show, step, MODEL_TEXT if number == 1 else f"{MODEL_TEXT}:{number}", self._numbers)
        finally:
            self._taken.discard(number)


class ShownAnswer:
    """One of them: a `llm.telling.ToldTries`."""

    def __init__(self, show: Show, step: int, type: str, numbers: "count[int]") -> None:
        self._show, self._step, self._type, self._numbers = show, step, type, numbers
        self._said = False
        self._anew = 0

    def begin(self, number: int, before: str | None = None) -> Told:
        """Of a try that is lost nothing stays."""
        self.take_back()
        anew = self._anew = next(self._numbers)

        def tell(chunk: Chunk) -> None:
            if self._anew == anew:
                self.more(chunk.text)

        self.more(before or "")
        return tell

    def more(self, text: str) -> None:
        """The try that began last says this."""
        if text:
            self._said = True
            self._show(self._step, self._type, {"text": storable(text, len(text)), ANEW: self._anew})

    def take_back(self) -> None:
        """There is no such answer: nothing of it stays."""
        if self._said:
            self._said = False
            self._show(self._step, self._type, {"text": "", ANEW: next(self._numbers)})
