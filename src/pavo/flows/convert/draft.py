"""A flow that is being made of another document, and what is said of the way."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pavo.flows.definition.problems import MAX_PROBLEMS, Path, Problem, WrongDefinition, did_you_mean
from pavo.flows.definition.reading import Document
from pavo.flows.definition.written import MAX_STEPS
from pavo.flows.expressions.templates import ESCAPED, OPEN

MAX_LEFT: Final = 1_000
"""Remarks on one document."""
MAX_NAME: Final = 60
"""Of a step; a number follows on names that are there already."""
ALL_FAILURES: Final = ["transient", "timeout", "error"]
"""After which a step is tried again where the other engine does so after any failure."""
_UNKNOWN_TO_NAMES: Final = re.compile(r"[^a-z0-9_]+")
_WORD_BEGINS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(slots=True)
class Draft:
    """What becomes of a document.

    Args:
        document: as it was read.
    """

    document: Document
    flow: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    left: list[Problem] = field(default_factory=list[Problem])
    """What could not be carried over."""
    wrong: list[Problem] = field(default_factory=list[Problem])
    """Why it is no document of its kind."""
    functions: dict[str, str] = field(default_factory=dict[str, str])
    """Names in the document by the entry points of `pavo.flow_steps` that stand for them."""
    origins: dict[Path, Path] = field(default_factory=dict[Path, Path])
    """Where a part of the flow comes from."""
    _input_names: dict[str, str] = field(default_factory=dict[str, str])
    _function_names: dict[str, str] = field(default_factory=dict[str, str])

    def leave(self, path: Path, message: str, remedy: str) -> None:
        """Something of the document is not in the flow."""
        if len(self.left) < MAX_LEFT:
            self.left.append(self._problem(path, message, remedy))

    def refuse(self, path: Path, message: str, remedy: str) -> None:
        """The document is wrong in itself."""
        if len(self.wrong) < MAX_PROBLEMS:
            self.wrong.append(self._problem(path, message, remedy))

    def _problem(self, path: Path, message: str, remedy: str) -> Problem:
        return Problem(path, message, remedy, self.document.places.of(path))

    def check(self) -> None:
        """Go on only if nothing is wrong.

        Raises:
            WrongDefinition: something is; all of it is told.
        """
        if self.wrong:
            raise WrongDefinition(sorted(self.wrong, key=lambda each: (each.place.line, each.place.column)))

    def object_at(self, value: Any, path: Path, what: str) -> Mapping[str, Any]:
        """An object of the document; an empty one, and a problem, where it is none."""
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        self.refuse(path, f"{what} is no object", "Give its members, such as `name: value`.")
        return {}

    def list_at(self, value: Any, path: Path, what: str) -> Sequence[Any]:
        """A list of the document, likewise."""
        if isinstance(value, list):
            return cast("list[Any]", value)
        self.refuse(path, f"{what} is no list", "Give a list.")
        return []

    def names(self, value: Any, path: Path, what: str) -> Iterator[tuple[Path, str]]:
        """Names in a list, or one alone; nothing counts as an empty list."""
        given = [] if value is None else cast("list[Any]", value) if isinstance(value, list) else [value]
        for index, each in enumerate(given):
            place = (*path, index) if isinstance(value, list) else path
            if isinstance(each, str) and each:
                yield place, each
            else:
                self.refuse(place, f"{what} is no name", "Give a text.")

    def number(self, value: Any, path: Path, least: float, most: float) -> float | None:
        """A number within bounds; None, and a problem, where it is none."""
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.refuse(path, f"{value!r:.80} is no number from {least:g} to {most:g}", "Correct it.")
        return None

    def unknown(self, members: Mapping[str, Any], path: Path, known: Mapping[str, str] | Sequence[str]) -> None:
        """Leave members that nothing is known of."""
        for name in members:
            if name not in known:
                remedy = did_you_mean(str(name), known, "Look whether the flow needs it, and write it in.")
                self.leave((*path, name), f"{str(name)[:80]!r} is not carried over", remedy)

    def step_name(self, text: str, path: Path) -> str:
        """A new step's id, like this text; said where it is another."""
        if len(self.steps) >= MAX_STEPS:
            self.refuse(path, f"the flow would have more than {MAX_STEPS:,} steps", "Convert it in parts.")
            self.check()
        found = _new_name(text, self.steps)
        self.steps[found] = {}
        self.origins["steps", found] = path
        return found

    def renamed(self, text: str, name: str, path: Path) -> None:
        """Say that something has another name now, if it has."""
        if text != name:
            self.leave(path, f"{text[:80]!r} is called {name!r} in the flow", "Use that name where you speak of it.")

    def function(self, text: str) -> str:
        """The entry point of `pavo.flow_steps` that stands for something that the other engine calls."""
        if text not in self._function_names:
            name = self._function_names[text] = _new_name(text, self.functions)
            self.functions[name] = text
        return self._function_names[text]

    def need_input(self, text: str, schema: Mapping[str, Any]) -> str:
        """An input of the flow, like this text."""
        if text not in self._input_names:
            if len(self.inputs) >= MAX_STEPS:
                self.refuse((), f"the flow would have more than {MAX_STEPS:,} inputs", "Convert it in parts.")
                self.check()
            name = self._input_names[text] = _new_name(text, self.inputs)
            self.inputs[name] = dict(schema)
        return self._input_names[text]


def _new_name(text: str, known: Mapping[str, Any]) -> str:
    """A name that is not known yet."""
    name = identifier(text, MAX_NAME)
    found, count = name, 1
    while found in known:
        count += 1
        found = f"{name[: MAX_NAME - 5]}_{count}"
    return found


def identifier(text: str, longest: int) -> str:
    """A name of a flow's, like a text."""
    lower = _WORD_BEGINS.sub("_", text[:1_000]).lower()
    name = _UNKNOWN_TO_NAMES.sub("_", lower).strip("_")[:longest].rstrip("_")
    if not name:
        return "step"
    return name if name[0].isalpha() else f"x_{name}"[:longest]


def literal(text: str) -> str:
    """A text that means these characters, whatever they are."""
    return text.replace(OPEN, ESCAPED)


def pieces(text: str, begin: str) -> Iterator[tuple[str, str | None]]:
    """The parts of a text, each with what stands between `begin` and `}}` behind it; None: nothing does."""
    at = 0
    while (found := text.find(begin, at)) >= 0 and (end := text.find("}}", found + len(begin))) >= 0:
        yield text[at:found], text[found + len(begin) : end]
        at = end + 2
    yield text[at:], None


def behind(text: str, expression: str) -> str:
    """Characters, and then an expression of CEL."""
    dollar = text.endswith("$")  # two of them would escape what follows
    return f"{literal(text[:-1]) + _DOLLAR if dollar else literal(text)}${{{{ {expression} }}}}"


def duration(seconds: float) -> str:
    """As flows write it."""
    whole = round(seconds * 1_000)
    return f"{whole // 1_000}s" if whole % 1_000 == 0 else f"{whole}ms"


def member(path: str, name: str) -> str:
    """A path of CEL that goes on to a member."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in _RESERVED
    return f"{path}.{name}" if plain else f"{path}[{quoted(name)}]"


def quoted(text: str) -> str:
    """A text of CEL."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(escapes.get(each, each) for each in text) + "'"


_DOLLAR: Final = "${{ '$' }}"
_RESERVED: Final = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
