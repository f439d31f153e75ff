"""What was understood of a program's output, whichever dialect it speaks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

MAX_TEXT: Final = 8_000
"""Characters of a text within an event."""
MAX_SUMMARY: Final = 60_000

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that the program did or said."""

    type: Literal["message", "tool_call", "tool_result", "file", "tokens", "error"]
    text: str = ""
    """What was said; the tool's arguments, or its answer; the file's path; what went wrong."""
    name: str = ""
    """The tool; what was done to the file."""
    input: int = 0
    output: int = 0
    """Tokens."""

    @property
    def event(self) -> str:
        """JSON, for the log."""
        shown: dict[str, Any] = {"type": self.type}
        if self.text:
            shown["text"] = self.text[:MAX_TEXT]
        if self.name:
            shown["name"] = self.name[:200]
        if self.type == "tokens":
            shown |= {"input": self.input, "output": self.output}
        return json.dumps(shown)


@dataclass(slots=True)
class Heard:
    """All that matters of what a program has said so far."""

    summary: str = ""
    """Its last words to people."""
    input_tokens: int = 0
    output_tokens: int = 0
    is_done: bool = False
    """It has said its last word."""
    error: str = ""
    """Why its last word is no good one; or what went wrong, where it says none."""
    denied: list[str] = field(default_factory=list[str])
    """Tools that it was not allowed to use."""

    def say(self, text: str) -> Happening | None:
        """Words to people; None: there are none."""
        text = text.strip()
        if not text:
            return None
        self.summary = text[-MAX_SUMMARY:]
        return Happening("message", text)

    def count(self, tokens_in: object, tokens_out: object, *, total: bool = False) -> Happening | None:
        """Tokens that were used since, or in all."""
        found = _number(tokens_in), _number(tokens_out)
        if found == (0, 0):
            return None
        before = (0, 0) if total else (self.input_tokens, self.output_tokens)
        self.input_tokens, self.output_tokens = before[0] + found[0], before[1] + found[1]
        return Happening("tokens", input=found[0], output=found[1])

    def end(self, error: str = "") -> None:
        """The last word."""
        self.is_done, self.error = True, error[:MAX_TEXT]


Reader: TypeAlias = Callable[[Heard, Json], Sequence[Happening | None]]
"""Takes an object of the program's stream; foreign: any member may be missing, or be something else."""


def _number(found: object) -> int:
    whole = isinstance(found, int) and not isinstance(found, bool)
    return max(0, min(cast(int, found), 2**53)) if whole else 0


def member(found: object, *path: str) -> Any:
    """A member within objects; None where there is none."""
    for name in path:
        if not isinstance(found, dict):
            return None
        found = cast(dict[str, Any], found).get(name)
    return found


def text_of(found: object, *path: str) -> str:
    """A text within objects; empty where there is none."""
    value = member(found, *path)
    return value if isinstance(value, str) else ""


def list_of(found: object, *path: str) -> list[Any]:
    """A list within objects; empty where there is none."""
    value = member(found, *path)
    return cast(list[Any], value) if isinstance(value, list) else []


def shown(value: object) -> str:
    """Anything, as a short text."""
    return value[:MAX_TEXT] if isinstance(value, str) else json.dumps(value, default=str)[:MAX_TEXT]
