"""How many values a JSON body has, told from its bytes as they come, before anything is made of them.

Two megabytes of `[],` are a small body and forty-odd megabytes of lists, and take seconds to look through; each
unknown member of an object becomes an error of its own. A body's texts may be long: they cost what they weigh.
"""

import re
from typing import Final

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
"""A text, or the beginning of one. It runs to the end of what is there, so none is looked at twice."""
_NO_UTF8: Final = b"\xff"
"""A byte that UTF-8 does not have (RFC 3629, section 1)."""


class NotUtf8(Exception):
    """The body is no JSON in UTF-8; RFC 8259, section 8.1, knows no other."""


class CountedValues:
    """Counts the values of one body."""

    def __init__(self) -> None:
        self.count = 0
        """At least as many as came whole, within one."""
        self._open = b""
        """The beginning of a text that goes on in the next piece, as far as it matters there."""

    def take(self, piece: bytes) -> None:
        """The next piece of the body.

        Raises:
            NotUtf8: it holds what no JSON in UTF-8 does: another encoding could hide what it counts.
        """
        if b"\0" in piece or _NO_UTF8 in piece:
            raise NotUtf8
        text = self._open + piece
        # What an unfinished text at the end swallows as well tells that there is one.
        outside = _STRING.sub(b"", text + _NO_UTF8)
        self.count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        if outside.endswith(_NO_UTF8):
            self._open = b""
        else:
            escapes = len(text) - len(text.rstrip(b"\\"))
            self._open = b'"\\' if escapes % 2 else b'"'
