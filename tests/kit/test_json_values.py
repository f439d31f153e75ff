"""What may be kept as JSON, and that it is written so that it comes back as it was."""

import dataclasses
import json
import math
import uuid
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.kit.json_values import MAX_DEPTH, NotStorable, decode, encode, plain

Pair = namedtuple("Pair", "x y")
INTEGERS = st.integers(-(2**63), 2**64 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e15, 1e23)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Shape(Enum):
    ROUND = 1


class Metres(float):
    pass


@dataclasses.dataclass
class Point:
    x: int


def nested(levels: int) -> Any:
    """Lists and objects, so many within each other."""
    value: Any = 1
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def doubling(levels: int) -> Any:
    value: Any = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def same(one: Any, other: Any) -> bool:
    """Equal in types as well, at every depth."""
    return repr(one) == repr(other)


@given(VALUES)
def test_what_passes_is_written_and_read_as_it_is(value: Any) -> None:
    kept, size = plain(value)
    text = encode(kept)
    assert kept == value and size == len(text)
    assert same(decode(text), kept) and same(json.loads(text), kept)


@given(FLOATS)
def test_a_float_stays_one_without_its_exponent_too(number: float) -> None:
    """As jsonb keeps numbers: as decimals, whose exponent is lost."""
    text = encode([number])
    if b"e+" not in text:
        assert isinstance(json.loads(text)[0], float)
    else:
        pytest.fail(f"{text!r} would become an integer")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Pair(1, (2,)), [1, [2]]),
        (OrderedDict(a=Level.HIGH), {"a": 3}),
        ({Colour.RED: Colour.RED}, {"red": "red"}),
        ([Metres(1.5), True, None], [1.5, True, None]),
        ({"zero": -0.0, "one": 1.0}, {"zero": 0.0, "one": 1.0}),
    ],
)
def test_relatives_of_the_json_types_become_these(value: Any, kept: Any) -> None:
    found, size = plain(value)
    assert same(found, kept) and size == len(encode(kept))


def test_what_is_plain_already_is_not_copied() -> None:
    value = {"a": [1, 2.5, {"b": None}]}
    assert plain(value)[0] is value
    assert math.copysign(1, plain([-0.0])[0][0]) == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1: 2}, "key 1"),
        ({1, 2}, "type set"),
        (Shape.ROUND, "type Shape"),
        (Point(1), "type Point"),
        ([datetime.now(UTC)], "type datetime"),
        ({"id": uuid.uuid4()}, "type UUID"),
        (b"x", "type bytes"),
        (math.nan, "nan"),
        ([Metres("inf")], "inf"),
        (2**64, "64 bits"),
        ({"a": [-(2**63) - 1]}, "64 bits"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ({"a\0": 1}, "NUL"),
        (["\\\0"], "NUL"),
        (circle(), "deeper"),
        (doubling(60), "1,000,000 values"),
        *((nested(levels), "deeper than 64 levels") for levels in (65, 254, 255, 500, 900, 5000)),
    ],
)
def test_what_cannot_be_kept_is_refused(value: Any, says: str) -> None:
    with pytest.raises(NotStorable, match=says) as refused:
        plain(value)
    assert refused.value.remedy


def test_the_deepest_that_is_taken_comes_back() -> None:
    value = nested(MAX_DEPTH)
    assert decode(encode(plain(value)[0])) == value


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "1e+22", '"\\'])
def test_text_that_only_looks_like_something_else_is_kept(text: str) -> None:
    assert decode(encode(plain({text: [text, 1e22]})[0])) == {text: [text, 1e22]}


def test_integers_that_were_floats_once_are_read_as_floats() -> None:
    assert same(decode(b"[10000000000000000000000, 18446744073709551615]"), [1e22, 2**64 - 1])
