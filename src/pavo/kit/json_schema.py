"""Values against a JSON Schema (draft 2020-12) that somebody else wrote, neither of them trusted.

The API does this on its event loop, so the work is bounded: by what it costs, not by a clock, so that the same value is
judged alike on every machine. Patterns are RE2's: matched in linear time, without look-around and back-references, as
the specification asks of authors (6.4: https://json-schema.org/draft/2020-12/json-schema-core#section-6.4).
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, cast

import orjson
import re2  # pyright: ignore[reportMissingTypeStubs]
from jsonschema.exceptions import (
    SchemaError,
    ValidationError,
    best_match,  # pyright: ignore[reportUnknownVariableType]
)
from jsonschema.validators import Draft202012Validator, extend  # pyright: ignore[reportUnknownVariableType]
from referencing import Registry

MESSAGE_CHARACTERS = 300
"""Of a value that a message repeats."""


MAX_EFFORT: Final = 300_000
"""What holding one value against a schema may cost: one for each keyword that is applied, and each error. A second at
most; a value of 20,000 members under a usual schema costs a third of it."""
_REFERENCES: Final = frozenset(("$ref", "$dynamicRef"))
_REFERENCE_EFFORT: Final = 10
_NAMES_AT_ONCE: Final = 100
"""Names or values of one keyword (`enum`, `required`) that cost as much as applying another."""
_MATCHED_AT_ONCE: Final = 100
"""Bytes of a text, times instructions of a pattern, that cost as much."""
_re2: Any = re2
_RE2: Final = _re2.Options()
_RE2.log_errors = False
_RE2.max_mem = 1_000_000

_left: ContextVar[list[int]] = ContextVar("left")
"""What is left of the effort of the value that is being judged."""


class SchemaTooCostly(Exception):
    """Holding the value against the schema takes too long."""


def _spend(effort: int) -> None:
    left = _left.get()
    left[0] -= effort
    if left[0] < 0:
        raise SchemaTooCostly("holding this value against it takes too long")


def _compiled(pattern: str) -> Any:
    try:
        return _re2.compile(pattern, _RE2)
    except _re2.error as error:
        raise ValueError(f"the pattern {pattern[:MESSAGE_CHARACTERS]!r} is none of RE2's: {error}") from error


def _matches(pattern: str, text: str) -> bool:
    compiled = _compiled(pattern)
    _spend(compiled.programsize * len(text) // _MATCHED_AT_ONCE)
    return compiled.search(text) is not None


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance[:MESSAGE_CHARACTERS]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, subschema in patterns.items():
            for name, value in cast(dict[str, Any], instance).items():
                if _matches(pattern, name):
                    yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    members = cast(dict[str, Any], instance)
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [name for name in members if name not in properties and not any(_matches(p, name) for p in patterns)]
    if isinstance(wanted, Mapping):
        for name in extras:
            yield from validator.descend(members[name], wanted, path=name)
    elif not wanted and extras:
        yield ValidationError(f"Additional properties are not allowed: {str(extras)[:MESSAGE_CHARACTERS]}")


def _unevaluated(_validator: Any, _wanted: Any, _instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """The library would match patterns itself, without a bound."""
    raise ValueError("unevaluatedProperties is not known here: use additionalProperties")


def _unique_items(_validator: Any, unique: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """The keyword `uniqueItems`. The library compares each item with each, which takes minutes for a long list."""
    if unique is True and isinstance(instance, list):
        items = cast(list[Any], instance)
        if len({_comparable(item) for item in items}) < len(items):
            yield ValidationError(f"{str(items)[:MESSAGE_CHARACTERS]} has non-unique elements")


def _comparable(item: Any) -> bytes:
    """The same for items that are equal by Any Schema: 1 and 1.0 are, 1 and true are not."""
    return orjson.dumps(_as_compared(item), option=orjson.OPT_SORT_KEYS)


def _as_compared(item: Any) -> Any:
    if isinstance(item, float) and item.is_integer() and abs(item) < 2**53:
        return int(item)
    if isinstance(item, list):
        return [_as_compared(each) for each in cast(list[Any], item)]
    if isinstance(item, dict):
        return {name: _as_compared(each) for name, each in cast(dict[str, Any], item).items()}
    return item


def _bounded(name: str, keyword: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    """The keyword, which spends what it costs."""
    effort = _REFERENCE_EFFORT if name in _REFERENCES else 1

    def applied(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        many = len(cast("list[Any]", wanted)) if isinstance(wanted, list | Mapping) else 0
        _spend(effort + many // _NAMES_AT_ONCE)
        for error in keyword(validator, wanted, instance, schema) or ():
            _spend(1)
            yield error

    return applied


_OWN = {
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "unevaluatedProperties": _unevaluated,
    "uniqueItems": _unique_items,
}
_KEYWORDS = {**cast(Any, Draft202012Validator).VALIDATORS, **_OWN}
_Validator: Any = cast(Any, extend)(
    Draft202012Validator, {name: _bounded(name, keyword) for name, keyword in _KEYWORDS.items()}
)


def misfit(schema: Mapping[str, Any], value: Any) -> ValidationError | None:
    """The most telling error of a value, or None where it fits.

    Raises:
        RecursionError: value and schema refer too deeply into each other.
        SchemaTooCostly: it takes too long.
        Exception: the schema cannot be applied, such as for a reference to nowhere, or a pattern that is none of RE2's.
    """
    # The library's types are incomplete. An empty registry: a schema must not make Pavo fetch others from the network.
    validator: Any = _Validator(schema, registry=cast(Any, Registry)())
    token = _left.set([MAX_EFFORT])
    try:
        return cast("ValidationError | None", best_match(validator.iter_errors(value)))
    finally:
        _left.reset(token)


def wrong_with(schema: object) -> str | None:
    """What keeps this from being a schema, or None.

    A schema that is one may still not be applicable: what it refers to is looked up when a value is held against it.
    """
    if not isinstance(schema, Mapping):
        return f"{type(schema).__name__} where an object belongs"
    try:
        cast(Any, Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        return error.message[:300]
    except Exception as error:  # noqa: BLE001 - whatever a schema may do to its checker
        return f"{type(error).__name__}: {str(error)[:300]}"
    return _wrong_pattern(cast(Mapping[str, Any], schema))


def _wrong_pattern(schema: Mapping[str, Any]) -> str | None:
    """What keeps a pattern of the schema from being applied; a default in it is read as if it were one too."""
    waiting: list[Any] = [schema]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += cast(list[Any], found)
        elif isinstance(found, Mapping):
            members = cast(Mapping[str, Any], found)
            waiting += members.values()
            patterns = [members.get("pattern"), *_names(members.get("patternProperties"))]
            for pattern in patterns:
                if isinstance(pattern, str) and (wrong := _wrong_in(pattern)):
                    return wrong
    return None


def _names(value: Any) -> list[str]:
    return list(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else []


def _wrong_in(pattern: str) -> str | None:
    try:
        _compiled(pattern)
    except ValueError as error:
        return str(error)
    return None
