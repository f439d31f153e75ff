"""Evaluating expressions in a process that can be ended: what they do to it is nobody else's harm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from pavo.flows.kept_process import Ended, KeptProcess, TooSlow

SECONDS: Final = 1.0
"""For one expression; those of flows take well below a millisecond."""
MAX_ANSWER_BYTES: Final = 1_100_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One expression, and what it is given."""

    source: str
    context: Mapping[str, Any]
    """See `context.context_of`."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of it."""

    value: Any = None
    """As JSON."""
    error: str | None = None
    """For people; the value means nothing then."""


class Evaluator:
    """One process, begun when it is first needed. May be shared by threads, which take turns; calls block.

    Args:
        seconds: that one expression may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        module, first = "pavo.flows.expressions.child", b'{"source":"1"}\n'
        self._process = KeptProcess(module, first, seconds=seconds, answer_bytes=MAX_ANSWER_BYTES)

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]:
        """What each gives, or why it gives nothing."""
        return [self._ask({"source": each.source, "context": each.context}) for each in asked]

    def wrong(self, sources: Sequence[str]) -> list[str | None]:
        """What keeps each from being compiled; None: nothing."""
        return [self._ask({"source": each}).error for each in sources]

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _ask(self, request: Mapping[str, Any]) -> Evaluated:
        try:
            answer = self._process.ask(orjson.dumps(request) + b"\n")
            found = cast(dict[str, Any], orjson.loads(answer))
        except TooSlow:
            return Evaluated(error=f"it took longer than {self._seconds:g} s")
        except (Ended, ValueError):
            return Evaluated(error="it takes more time or memory than it may")
        return Evaluated(found.get("value"), found.get("error"))
