"""JSON Schemas that a flow's author wrote, and values held against them: nothing about either is trusted."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pavo.kit.json_schema import misfit, wrong_with

MAX_VALUES: Final = 5_000
MAX_CHARACTERS: Final = 100_000
"""Of one schema, with the names in it: checking a longer one takes seconds."""
_TOLD: Final = 300


def wrong_schema(schema: Mapping[str, Any]) -> str | None:
    """What keeps this from being a schema that a flow may have; None: nothing."""
    if _is_large(schema):
        return f"it has more than {MAX_VALUES:,} values or {MAX_CHARACTERS:,} characters"
    return wrong_with(schema)


def unfit(schema: Mapping[str, Any], value: Any) -> str | None:
    """Why a value is not as its schema wants it, or cannot be held against it; None: it is."""
    try:
        wrong = misfit(schema, value)
    except Exception as error:  # noqa: BLE001 - whatever a schema may do to what applies it
        return f"its schema cannot be applied: {type(error).__name__}: {str(error)[:_TOLD]}"
    return None if wrong is None else wrong.message[:_TOLD]


def _is_large(schema: Mapping[str, Any]) -> bool:
    values = characters = 0
    waiting: list[Any] = [schema]
    while waiting:
        found = waiting.pop()
        values += 1
        if isinstance(found, str):
            characters += len(found)
        elif isinstance(found, list):
            waiting += cast(list[Any], found)
        elif isinstance(found, Mapping):
            members = cast(Mapping[str, Any], found)
            characters += sum(len(name) for name in members)
            waiting += members.values()
        if values > MAX_VALUES or characters > MAX_CHARACTERS:
            return True
    return False
