"""Values against a JSON Schema (draft 2020-12) that somebody else wrote."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
from jsonschema.exceptions import (
    SchemaError,
    ValidationError,
    best_match,  # pyright: ignore[reportUnknownVariableType]
)
from jsonschema.validators import Draft202012Validator, extend  # pyright: ignore[reportUnknownVariableType]
from referencing import Registry

MESSAGE_CHARACTERS = 300
"""Of a value that a message repeats."""


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


_Validator: Any = cast(Any, extend)(Draft202012Validator, {"uniqueItems": _unique_items})


def misfit(schema: Mapping[str, Any], value: Any) -> ValidationError | None:
    """The most telling error of a value, or None where it fits.

    Raises:
        RecursionError: value and schema refer too deeply into each other.
        Exception: the schema cannot be applied, such as for a reference to nowhere.
    """
    # The library's types are incomplete. An empty registry: a schema must not make Pavo fetch others from the network.
    validator: Any = _Validator(schema, registry=cast(Any, Registry)())
    return cast("ValidationError | None", best_match(validator.iter_errors(value)))


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
    return None
