"""Values that may stand in no line of a log and in no error: the secrets that an agent has read.

A context variable carries them, so it holds for the tasks and threads that the agent's code starts. What an agent
takes apart, encodes or writes elsewhere is not found: this keeps accidents from being read, not an agent from telling.
"""

import json
from contextvars import ContextVar
from typing import Final

LEAST: Final = 6
"""Characters of a value, or of a line of one: shorter ones stand in any text."""
SHOWN: Final = "***"
"""What stands in a value's place."""
_MAX_FORMS: Final = 1_000


class Hidden:
    """Values to hide; it may be asked on any thread."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._bytes: tuple[bytes, ...] = ()

    def add(self, value: str) -> None:
        """Hide this value from now on, and each line of it; of very many lines the first."""
        known = {*self._forms, *_forms_of(value)}
        for line in value.splitlines():
            if len(known) >= _MAX_FORMS:
                break
            known |= _forms_of(line)
        self._forms = tuple(sorted(known, key=len, reverse=True))  # a longer one may hold a shorter one
        self._bytes = tuple(form.encode(errors="replace") for form in self._forms)

    def out_of(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            text = text.replace(form, SHOWN)
        return text

    @property
    def longest(self) -> int:
        """Bytes of the longest of them."""
        return max(map(len, self._bytes), default=0)

    def cut(self, data: bytes, at: int) -> int:
        """Where to cut output of which more is to come: there, or before the value that would be cut in two.

        Args:
            at: as many bytes as the longest value has must follow.
        """
        for form in self._bytes:
            found = data.find(form, max(0, at - len(form) + 1), at + len(form) - 1)
            at = found if 0 <= found < at else at
        return at


_hidden: ContextVar[Hidden | None] = ContextVar("pavo_hidden", default=None)


def hide_in_here(hidden: Hidden) -> None:
    """From here on, in this task and what it starts, these values are hidden."""
    _hidden.set(hidden)


def hidden_here() -> Hidden | None:
    """What is hidden; None where nobody has said so."""
    return _hidden.get()


def without_hidden(text: str) -> str:
    """The text without what is hidden here."""
    hidden = _hidden.get()
    return text if hidden is None else hidden.out_of(text)


def _forms_of(value: str) -> set[str]:
    """As it is, and as Python and JSON write it."""
    value = value.strip()
    if len(value) < LEAST:
        return set()
    return {value, repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
