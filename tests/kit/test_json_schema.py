"""Schemas and values of others: judged in bounded time, patterns in linear time."""

import time
from typing import Any

import pytest

from pavo.kit.json_schema import SchemaTooCostly, misfit, wrong_with

DOUBLING: dict[str, Any] = {
    "$defs": {
        "0": {"type": "string"},
        **{str(n): {"anyOf": [{"$ref": f"#/$defs/{n - 1}"}] * 2} for n in range(1, 31)},
    },
    "$ref": "#/$defs/30",
}
LETTERS = "a" * 60_000
MANY_TIMES = "(a?b?c?d?e?){400}" * 10 + "$"
MANY_NAMES = [f"name-{number}" for number in range(3_000)]


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"pattern": "^(a|a)*$"}, "a" * 64 + "!", False),
        ({"pattern": "^(a|a)*$"}, LETTERS, True),
        ({"pattern": "(x+x+)+y"}, "x" * 60_000, False),
        ({"patternProperties": {"^(a|a)*$": {"type": "integer"}}}, {"a" * 60 + "!": "x", "aaa": 1}, True),
        ({"patternProperties": {"^(a|a)*$": {"type": "integer"}}}, {"aaa": "x"}, False),
        ({"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False}, {"a" * 60 + "!": 1}, False),
        ({"patternProperties": {"^x": {}}, "additionalProperties": {"type": "integer"}}, {"x": "", "y": 1}, True),
        ({"patternProperties": {"^x": {}}, "additionalProperties": {"type": "integer"}}, {"y": ""}, False),
        ({"items": {"enum": [*range(250)]}}, [7] * 20_000, True),
        ({"items": {"type": "integer", "minimum": 0, "maximum": 9, "multipleOf": 1}}, [7] * 20_000, True),
        (DOUBLING, 1, None),
        ({"pattern": MANY_TIMES}, LETTERS, None),
        ({"items": {"required": MANY_NAMES}}, [{}] * 10_000, None),
    ],
)
def test_any_schema_is_applied_in_bounded_time(schema: dict[str, Any], value: Any, fits: bool | None) -> None:
    """None: it costs too much. By the library alone most of these take hours."""
    assert wrong_with(schema) is None
    began = time.process_time()
    if fits is None:
        with pytest.raises(SchemaTooCostly):
            misfit(schema, value)
    else:
        assert (misfit(schema, value) is None) is fits
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=a)b"},
        {"items": {"pattern": "(a)\\1"}},
        {"properties": {"x": {"patternProperties": {"(": {}}}}},
    ],
)
def test_a_pattern_that_cannot_be_applied_is_told(schema: dict[str, Any]) -> None:
    told = wrong_with(schema) or ""
    assert "pattern" in told or "regex" in told


def test_what_would_be_matched_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="additionalProperties"):
        misfit({"patternProperties": {"^(a|a)*$": {}}, "unevaluatedProperties": False}, {"a": 1})
