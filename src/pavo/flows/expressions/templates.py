"""Texts with expressions in them: `Order ${{ inputs.id }} is paid`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from pavo.flows.expressions.tokens import tokens

OPEN: Final = "${{"
ESCAPED: Final = "$${{"
"""Stands for the three characters of OPEN."""
_BRACES: Final = {"{": 1, "}": -1}


class UnclosedExpression(ValueError):
    """A text begins an expression that has no end."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Of CEL."""

    source: str


Template: TypeAlias = tuple[str | Expression, ...]
"""A text in parts. A text that is one expression alone gives that one's value; else values become a part of it."""


def template_of(text: str) -> Template:
    """The parts of a text.

    Raises:
        UnclosedExpression: it begins an expression that has no end.
    """
    parts: list[str | Expression] = []
    plain, at = "", 0
    while (found := text.find(OPEN, at)) >= 0:
        if found and text[found - 1] == "$":
            plain, at = plain + text[at : found - 1] + OPEN, found + len(OPEN)
            continue
        plain += text[at:found]
        if plain:
            parts.append(plain)
        end = _end(text, found + len(OPEN))
        parts.append(Expression(text[found + len(OPEN) : end].strip()))
        plain, at = "", end + 2
    plain += text[at:]
    return (*parts, plain) if plain or not parts else tuple(parts)


def _end(text: str, begin: int) -> int:
    """Where the `}}` begins that ends an expression; those within its own braces and texts are passed over."""
    depth = 0
    for token in tokens(text, begin):
        if token.text == "}" and depth == 0:
            if text.startswith("}}", token.begin):
                return token.begin
            break
        depth += _BRACES.get(token.text, 0) if token.kind == "mark" else 0
    raise UnclosedExpression("an expression begins with ${{ and has no }}")


def expression_of(text: str) -> Expression | None:
    """The expression that a text is; None: it is something else.

    Raises:
        UnclosedExpression: it begins one that has no end.
    """
    parts = [part for part in template_of(text.strip()) if part != ""]
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Expression) else None


def texts_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a value, keys left out, with where it is."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in cast(dict[str, Any], value).items():
            yield from texts_in(each, (*path, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(cast(list[Any], value)):
            yield from texts_in(each, (*path, index))
