"""Expressions of GitHub Actions as CEL, as far as both know what they mean.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pavo.flows.convert.draft import member, quoted

Lookup = Callable[[Sequence[str]], "Term"]
"""What a path such as `needs.build.result` means.

Raises:
    NotCarried: nothing that a flow knows.
"""
MAX_CHARACTERS: Final = 2_000
MAX_DEPTH: Final = 20
_WORD: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?[0-9]+(?:\.[0-9]+)?\b)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<mark>&&|\|\||[=!<>]=|[<>!().,\[\]]))"
)
_COMPARISONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">="))
_TEXT_FUNCTIONS: Final = {"startswith": "startsWith", "endswith": "endsWith"}
STATUS_FUNCTIONS: Final = frozenset(("always", "success", "failure", "cancelled"))
RESULTS: Final = {"success": "succeeded", "failure": "failed", "cancelled": "cancelled", "skipped": "skipped"}


class NotCarried(ValueError):
    """An expression means something that a flow does not know; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of an expression, as CEL."""

    cel: str
    literal: str | None = None
    """The text that it is."""
    results: Sequence[str] = ()
    """Steps of the job whose result it is."""
    is_simple: bool = True
    """Whether it stands without brackets."""

    @property
    def closed(self) -> str:
        """To be put beside an operator."""
        return self.cel if self.is_simple else f"({self.cel})"


def cel_of(source: str, lookup: Lookup, functions: Callable[[str], str]) -> str:
    """An expression, without `${{` and `}}`.

    Args:
        functions: what one of STATUS_FUNCTIONS means here.

    Raises:
        NotCarried: it means something that a flow does not know.
    """
    if len(source) > MAX_CHARACTERS:
        raise NotCarried(f"an expression has more than {MAX_CHARACTERS:,} characters")
    parser = _Parser(_words(source), lookup, functions)
    found = parser.either(0)
    parser.end()
    if found.results:
        raise NotCarried("a job's result stands alone; it can be compared with 'success' and the like")
    return found.cel


def status_functions_in(source: str) -> frozenset[str]:
    """Which of STATUS_FUNCTIONS an expression calls."""
    found = re.findall(r"\b([A-Za-z]+)\s*\(\s*\)", re.sub(r"'(?:[^']|'')*'", "''", source[:MAX_CHARACTERS]))
    return frozenset(each.lower() for each in found) & STATUS_FUNCTIONS


def _words(source: str) -> list[tuple[str, str]]:
    found, at = list[tuple[str, str]](), 0
    end = len(source.rstrip())
    while at < end:
        word = _WORD.match(source, at)
        if word is None or word.lastgroup is None:
            raise NotCarried(f"{source[at : at + 20].strip()!r} is not known in an expression")
        found.append((word.lastgroup, word[word.lastgroup]))
        at = word.end()
    return found


class _Parser:
    def __init__(self, words: Sequence[tuple[str, str]], lookup: Lookup, functions: Callable[[str], str]) -> None:
        self._words, self._lookup, self._functions = words, lookup, functions
        self._at = 0

    def end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._words):
            raise NotCarried(f"{self._words[self._at][1]!r} is not expected there")

    def either(self, depth: int) -> Term:
        """`a || b`, and all that binds more."""
        if depth > MAX_DEPTH:
            raise NotCarried("its brackets are too deep")
        return self._joined("||", lambda: self._joined("&&", lambda: self._compared(depth)))

    def _joined(self, mark: str, part: Callable[[], Term]) -> Term:
        terms = [part()]
        while self._take(mark):
            terms.append(part())
        if mark == "&&":
            terms = [each for each in terms if each.cel != "true"] or terms[:1]
        if len(terms) == 1:
            return terms[0]
        if any(each.results or each.literal is not None for each in terms):
            raise NotCarried(f"{mark} chooses between values; in a flow both sides are true or false")
        return Term(f" {mark} ".join(each.closed for each in terms), is_simple=False)

    def _compared(self, depth: int) -> Term:
        left = self._negated(depth)
        if self._peek()[1] not in _COMPARISONS:
            return left
        mark = self._next()[1]
        right = self._negated(depth)
        if left.results or right.results:
            return _of_result(left, mark, right)
        return Term(f"{left.closed} {mark} {right.closed}", is_simple=False)

    def _negated(self, depth: int) -> Term:
        if not self._take("!"):
            return self._one(depth)
        term = self._negated(depth + 1) if depth < MAX_DEPTH else self._one(depth)
        if term.results or term.literal is not None:
            raise NotCarried("! needs what is true or false")
        return Term(f"!{term.closed}")

    def _one(self, depth: int) -> Term:
        kind, text = self._next()
        if kind == "text":
            meant = text[1:-1].replace("''", "'")
            return Term(quoted(meant), meant)
        if kind == "number":
            return Term(text)
        if kind == "name":
            return self._named(text, depth)
        if text == "(":
            term = self.either(depth + 1)
            self._need(")")
            return term
        raise NotCarried(f"{text!r} is not expected there")

    def _named(self, name: str, depth: int) -> Term:
        if name in ("true", "false", "null"):
            return Term(name)
        if self._take("("):
            return self._called(name.lower(), depth)
        path = [name]
        while True:
            if self._take("."):
                path.append(self._next()[1])
            elif self._take("["):
                path.append(self._index())
            else:
                return self._lookup(path)

    def _index(self) -> str:
        kind, text = self._next()
        self._need("]")
        if kind != "text":
            raise NotCarried("what stands in [ ] is no text")
        return text[1:-1].replace("''", "'")

    def _called(self, name: str, depth: int) -> Term:
        given = list[Term]()
        while not self._take(")"):
            if given:
                self._need(",")
            given.append(self.either(depth + 1))
        if name in STATUS_FUNCTIONS and not given:
            meant = self._functions(name)
            return Term(meant, is_simple=meant in ("true", "false"))
        if name in _TEXT_FUNCTIONS and len(given) == 2 and not any(each.results for each in given):
            return Term(f"string({given[0].cel}).{_TEXT_FUNCTIONS[name]}({given[1].cel})")
        raise NotCarried(f"the function {name[:40]}() is not known to flows")

    def _peek(self) -> tuple[str, str]:
        return self._words[self._at] if self._at < len(self._words) else ("end", "")

    def _next(self) -> tuple[str, str]:
        found = self._peek()
        if found[0] == "end":
            raise NotCarried("it ends too early")
        self._at += 1
        return found

    def _take(self, mark: str) -> bool:
        taken = self._peek() == ("mark", mark)
        self._at += taken
        return taken

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise NotCarried(f"{mark!r} is missing")


def _of_result(left: Term, mark: str, right: Term) -> Term:
    job, said = (left, right) if left.results else (right, left)
    if mark not in ("==", "!=") or said.literal not in RESULTS:
        raise NotCarried(f"a job's result can be compared with {', '.join(RESULTS)}")
    meant = RESULTS[said.literal]
    if meant == "succeeded":
        return Term(f"steps.{job.results[-1]}.status {mark} 'succeeded'", is_simple=False)
    steps = job.results[:1] if meant == "skipped" else job.results
    found = " || ".join(f"steps.{each}.status == '{meant}'" for each in steps)
    return Term(found if mark == "==" else f"!({found})", is_simple=False)


def path_of(root: str, members: Sequence[str]) -> Term:
    """A path of CEL."""
    for each in members:
        root = member(root, each)
    return Term(root)
