"""Text of others as a terminal or a log file may have it: nothing in it acts, nothing is hidden.

A terminal obeys what it is sent: control sequences move the cursor, repaint lines, write to the clipboard;
bidirectional overrides and characters without width make a line read unlike what it says. So each character that is
not printed as itself is written out, as JSON writes it (`\\u001b`): a line of JSON stays JSON, and means the same.
"""

import re
from typing import Final

_ESCAPED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINERS: Final = ("\u200c", "\u200d")
"""Zero width non-joiner and joiner: Persian, the scripts of India and composed emoji are misspelt without them."""
_JOINED_FROM: Final = 0x590
"""No script before this code point has use for a joiner: between Latin letters it only hides that a word is another."""
_BLANK_LETTERS: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]")
"""Letters and marks of no width or without ink, which Unicode calls ignorable, but Python printable."""


def printable(text: str) -> str:
    """A text of several lines: line feeds and tabs stay, everything else that is not printed as itself is written out.

    It may be applied twice: the second time changes nothing.
    """
    return _written_out(text.replace("\r\n", "\n"), "\n\t")


def printable_line(text: str, *, tabs: bool = False) -> str:
    """As `printable`, and one line: line breaks are written out too, and tabs unless `tabs` keeps them."""
    return _written_out(text, "\t" if tabs else "")


def _written_out(text: str, kept: str) -> str:
    if text.isprintable() and not _BLANK_LETTERS.search(text):
        return text
    return "".join(
        character if character in kept or _shows(text, index, character) else _code(character)
        for index, character in enumerate(text)
    )


def _shows(text: str, index: int, character: str) -> bool:
    """Whether a character prints something, or leaves a blank that is seen."""
    if character in _JOINERS:
        return 0 < index < len(text) - 1 and _joins(text[index - 1]) and _joins(text[index + 1])
    return (character.isprintable() and not _BLANK_LETTERS.match(character)) or _is_blank(character)


def _is_blank(character: str) -> bool:
    # Of what Python calls white space, controls and the line and paragraph separator are no blanks.
    return character.isspace() and character > "\x9f" and character not in "\u2028\u2029"


def _joins(neighbour: str) -> bool:
    return ord(neighbour) >= _JOINED_FROM and neighbour.isprintable() and not _BLANK_LETTERS.match(neighbour)


def _code(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
