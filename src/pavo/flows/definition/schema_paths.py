"""Whether a path leads anywhere, by the JSON Schema of the value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

_MAX_WAYS: Final = 200
"""Of `anyOf` and the like that are looked at for one path."""


@dataclass(frozen=True, slots=True)
class DeadEnd:
    """A path goes no further."""

    at: int
    """Index of the first member that is not there."""
    known: Sequence[str]
    """Members that are."""


def dead_end(schema: Any, path: Sequence[str | int]) -> DeadEnd | None:
    """Where a path ends too early; None: it leads somewhere, or the schema does not say.

    An object whose schema has `properties` has no others, unless `additionalProperties` or `patternProperties` say so.
    """
    ways = list(_ways(schema))
    for at, member in enumerate(path):
        following: list[Any] = []
        for way in ways:
            following += _step(way, member)
        if not following:
            return DeadEnd(at, sorted({name for way in ways for name in _properties(way)}))
        ways = [way for each in following[:_MAX_WAYS] for way in _ways(each)][:_MAX_WAYS]
    return None


def _ways(schema: Any) -> Iterator[Any]:
    """Schemas one of which a value follows; True where nothing is said."""
    if not isinstance(schema, Mapping):
        yield True
        return
    found = cast(Mapping[str, Any], schema)
    branches = [each for name in ("anyOf", "oneOf") for each in _listed(found.get(name))]
    if branches and "properties" not in found:
        for each in branches[:_MAX_WAYS]:
            yield each if isinstance(each, Mapping) else True
    elif "$ref" in found or "allOf" in found or "$dynamicRef" in found:
        yield True  # more is said elsewhere: whoever evaluates it finds out
    else:
        yield found


def _step(schema: Any, member: str | int) -> list[Any]:
    """What a value's member may be; empty: it has none of that name."""
    if schema is True:
        return [True]
    kinds = schema.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(_listed(kinds)) or {"object", "array"}
    if isinstance(member, int):
        return [_of_items(schema, member)] if "array" in kinds or "object" in kinds else []
    if "object" not in kinds:
        return []
    properties = _properties(schema)
    if member in properties:
        return [properties[member]]
    more = schema.get("additionalProperties")
    is_open = more is not None and more is not False
    if is_open or "patternProperties" in schema or "properties" not in schema:
        return [more if isinstance(more, Mapping) else True]
    return []


def _of_items(schema: Mapping[str, Any], index: int) -> Any:
    fixed = _listed(schema.get("prefixItems"))
    return fixed[index] if index < len(fixed) else schema.get("items", True)


def _properties(schema: Any) -> Mapping[str, Any]:
    found: Any = cast(Mapping[str, Any], schema).get("properties") if isinstance(schema, Mapping) else None
    return cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
