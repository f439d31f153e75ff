"""A definition's text, YAML or JSON, as plain values with their places. Bounded: no text makes it large or slow.

Scalars are those of YAML's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), which is what JSON means by
them: `on`, `yes`, `1:30` and `2026-11-27` are texts. What JSON does not have is refused: anchors and aliases, tags,
merged and repeated keys, infinity, more than one document.
"""

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from pavo.flows.definition.problems import Path, Place, Places, Problem, WrongDefinition

MAX_BYTES: Final = 1_000_000
"""Of a text: some thousand steps."""
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 100_000
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_PAIR: Final = re.compile(r"((?<!\\)(?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Document:
    """What a text holds."""

    value: Any
    places: Places
    text: str = field(repr=False)


def read(data: bytes | str) -> Document:
    """The value of a text.

    Raises:
        WrongDefinition: it is neither YAML nor JSON, or larger than a flow may be.
    """
    text = _decoded(data)
    builder = _Builder()
    try:
        # The C parser tells events one by one, so the depth of a text is nobody's recursion.
        for event in cast("Iterator[Event]", yaml.parse(text, Loader=yaml.CSafeLoader)):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        _wrong(error.problem or "it is no YAML", "Correct it; an editor that knows YAML shows where.", place)
    except yaml.YAMLError as error:
        _wrong(f"it is no YAML: {str(error).splitlines()[0]}", "Send YAML or JSON in UTF-8.", Place(1, 1))
    return Document(builder.whole(), Places(builder.places), text)


def _decoded(data: bytes | str) -> str:
    size = len(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    if size > MAX_BYTES:
        _wrong(f"it has {size:,} bytes", f"Keep a flow under {MAX_BYTES:,}: move parts into child flows.", Place(1, 1))
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        text.encode()
        # YAML takes the two escapes by which JSON writes one character beyond 16 bits for two.
        return _PAIR.sub(_joined, text) if text.lstrip().startswith("{") else text
    except UnicodeError:
        _wrong("it is not in UTF-8", "Send YAML or JSON in UTF-8.", Place(1, 1))


def _joined(pair: re.Match[str]) -> str:
    units = bytes.fromhex(pair[2] + pair[3])
    return pair[1] + units.decode("utf-16-be")


@dataclass(slots=True)
class _Open:
    """A list or an object that has not ended."""

    value: list[Any] | dict[str, Any]
    path: Path
    key: str | None = None
    """The one whose value comes next."""


class _Builder:
    """Puts together what a parser tells."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self._open: list[_Open] = []
        self._values = 0
        self._whole: list[Any] = []
        self._documents = 0

    def whole(self) -> Any:
        """The value."""
        if not self._whole:
            _wrong("it is empty", "Give it a name, `flow: NAME`, and `steps`.", Place(1, 1))
        return self._whole[0]

    def take(self, event: Event) -> None:
        """One more event."""
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                _wrong("there is a second document", "Give each flow a file of its own.", place)
        elif isinstance(event, CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, AliasEvent):
            _wrong("aliases are not taken", "Write the value out where it is meant.", place, self._here())
        elif isinstance(event, NodeEvent):
            self._check(event, place)
            self._node(event, place)

    def _check(self, event: NodeEvent, place: Place) -> None:
        self._values += 1
        if self._values > MAX_VALUES or len(self._open) >= MAX_DEPTH:
            limit = f"{MAX_VALUES:,} values" if self._values > MAX_VALUES else f"{MAX_DEPTH} levels"
            _wrong(f"it has more than {limit}", "Move parts of it into child flows.", place)
        if event.anchor is not None:
            _wrong("anchors are not taken", "Write the value out where it is meant.", place, self._here())
        if getattr(event, "tag", None) not in (None, "!"):
            _wrong("tags are not taken", "Leave it out: types are those of JSON.", place, self._here())

    def _node(self, event: NodeEvent, place: Place) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, place, top)
            return
        path = self._here()
        self.places.setdefault(path, place)
        if isinstance(event, CollectionStartEvent):
            value: Any = {} if isinstance(event, MappingStartEvent) else []
            self._put(value)
            self._open.append(_Open(value, path))
        else:
            self._put(_scalar(cast(ScalarEvent, event), place, path))

    def _key(self, event: NodeEvent, place: Place, top: _Open) -> None:
        mapping = cast(dict[str, Any], top.value)
        if not isinstance(event, ScalarEvent):
            _wrong("a key is a list or an object", "Use a text.", place, top.path)
        name = _scalar(event, place, top.path) if event.implicit[0] else event.value
        name = event.value if isinstance(name, Hashable) and not isinstance(name, str) else name
        if event.value == "<<" and event.implicit[0]:
            _wrong("merged keys are not taken", "Write the members out where they are meant.", place, top.path)
        if name in mapping:
            _wrong(f"{name!r} stands here twice", "Keep one of them.", place, (*top.path, name))
        top.key = name
        self.places[(*top.path, name)] = place

    def _here(self) -> Path:
        """Where the next value belongs."""
        if not self._open:
            return ()
        top = self._open[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else top.key or "")

    def _put(self, value: Any) -> None:
        if not self._open:
            self._whole.append(value)
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value[top.key or ""] = value
            top.key = None


def _scalar(event: ScalarEvent, place: Place, path: Path) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # it is quoted, or a block
        return _sound(text, place, path)
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    if _FLOAT.fullmatch(text):
        _wrong(f"{text[:40]} is larger than a number may be", "Write it as a text.", place, path)
    if _NO_NUMBER.fullmatch(text):
        _wrong(f"{text} is no number of JSON", "Give a finite one, or quote it.", place, path)
    return _sound(text, place, path)


def _sound(text: str, place: Place, path: Path) -> str:
    if "\0" in text:
        _wrong("a text has the character NUL", "Leave it out.", place, path)
    return text


def _wrong(message: str, remedy: str, place: Place, path: Path = ()) -> NoReturn:
    raise WrongDefinition([Problem(path, message, remedy, place)])
