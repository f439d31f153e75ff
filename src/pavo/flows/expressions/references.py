"""What an expression refers to: paths such as `steps.fetch.output.orders`."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pavo.flows.expressions.tokens import Token, tokens

MAX_BYTES: Final = 1_000
MAX_BRACKETS: Final = 32
"""Within each other: the compiler of CEL comes to harm at some thousands."""
MAX_MACROS: Final = 2
"""Of a list within each other: each multiplies the work."""
MACROS: Final = frozenset(("all", "exists", "exists_one", "map", "filter"))
_WORDS: Final = frozenset(("true", "false", "null", "in"))
_TYPES: Final = frozenset(
    ("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type", "timestamp", "duration")
)


class ExpressionTooLarge(ValueError):
    """An expression is longer or deeper than it may be."""


@dataclass(frozen=True, slots=True)
class Reference:
    """To a value: the name of its root, and what is taken of it."""

    root: str
    path: tuple[str | int, ...] = ()
    """Members and indices that stand there literally; what is taken by another expression ends it."""

    @property
    def text(self) -> str:
        """As it is written."""
        return self.root + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.path)


def references(source: str) -> tuple[Reference, ...]:
    """All of an expression, without those to names that its macros bind.

    Raises:
        ExpressionTooLarge: it is longer or deeper than it may be.
    """
    if len(source.encode()) > MAX_BYTES:
        raise ExpressionTooLarge(f"an expression has more than {MAX_BYTES:,} bytes")
    words = list(tokens(source))
    bound = _bound(words)
    _check_depth(words)
    found = {each: None for each in _references(words) if each.root not in bound}
    return tuple(found)


def bound_names(source: str) -> frozenset[str]:
    """Names that its macros bind, such as `x` in `orders.map(x, x.id)`."""
    return _bound(list(tokens(source)))


def _bound(words: Sequence[Token]) -> frozenset[str]:
    return frozenset(
        words[at + 3].text
        for at in range(len(words) - 3)
        if words[at].text == "."
        and words[at + 1].text in MACROS
        and words[at + 2].text == "("
        and words[at + 3].kind == "name"
    )


def _check_depth(words: Sequence[Token]) -> None:
    open_: list[bool] = []
    """For each bracket whether it is a macro's."""
    for at, word in enumerate(words):
        if word.kind != "mark":
            continue
        if word.text in "([{":
            open_.append(at > 1 and words[at - 1].text in MACROS and words[at - 2].text == ".")
            if len(open_) > MAX_BRACKETS:
                raise ExpressionTooLarge(f"an expression has more than {MAX_BRACKETS} brackets within each other")
            if sum(open_) > MAX_MACROS:
                raise ExpressionTooLarge(
                    f"an expression has more than {MAX_MACROS} of {', '.join(sorted(MACROS))} within each other"
                )
        elif word.text in ")]}" and open_:
            open_.pop()


def _references(words: Sequence[Token]) -> Iterator[Reference]:
    for at, word in enumerate(words):
        if word.kind != "name" or word.text in _WORDS or (at and words[at - 1].text == "."):
            continue
        if at + 1 < len(words) and words[at + 1].text == "(":
            continue  # a function
        if word.text in _TYPES and not (at + 1 < len(words) and words[at + 1].text in (".", "[")):
            continue
        yield Reference(word.text, tuple(_taken(words, at + 1)))


def _taken(words: Sequence[Token], at: int) -> Iterator[str | int]:
    """Members and indices that follow on a name."""
    while at + 1 < len(words):
        if words[at].text == "." and words[at + 1].kind == "name":
            if at + 2 < len(words) and words[at + 2].text == "(":
                return  # a method
            yield words[at + 1].text
            at += 2
        elif words[at].text == "[" and at + 2 < len(words) and words[at + 2].text == "]":
            literal = _literal(words[at + 1])
            if literal is None:
                return
            yield literal
            at += 3
        else:
            return


def _literal(word: Token) -> str | int | None:
    if word.kind == "number" and word.text.isdecimal():
        return int(word.text)
    if word.kind != "text":
        return None
    try:
        value: object = ast.literal_eval(word.text)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) else None
