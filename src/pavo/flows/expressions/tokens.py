"""An expression of CEL as its words, as far as what it refers to must be known (https://github.com/google/cel-spec)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["name", "text", "number", "mark"]
_QUOTES: Final = "|".join(
    (
        r"[rR]\"\"\".*?\"\"\"",
        r"[rR]'''.*?'''",
        r"[rR]\"[^\"\n]*\"",
        r"[rR]'[^'\n]*'",
        r"[bB]?\"\"\"(?:\\.|[^\\])*?\"\"\"",
        r"[bB]?'''(?:\\.|[^\\])*?'''",
        r"[bB]?\"(?:\\.|[^\"\\\n])*\"",
        r"[bB]?'(?:\\.|[^'\\\n])*'",
    )
)
_WORD: Final = re.compile(
    rf"\s*(?:(?P<comment>//[^\n]*)|(?P<text>{_QUOTES})|(?P<number>\.?[0-9][0-9a-zA-Z.]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>&&|\|\||[=!<>]=|\S)|$)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word."""

    kind: Kind
    text: str
    begin: int
    end: int


def tokens(source: str, begin: int = 0) -> Iterator[Token]:
    """The words of an expression, from here on; what is wrong with it the compiler says."""
    while begin < len(source) and (found := _WORD.match(source, begin)):
        if found.end() == begin:
            return
        begin = found.end()
        if found.lastgroup in ("name", "text", "number", "mark"):
            yield Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup), begin)
