"""JSON as Pavo keeps it: what may be stored, one writer and one reader, so that what was written is what is read.

PostgreSQL's jsonb keeps numbers as decimals. They come back as they were written, integers as integers and floats as
the same floats, but for -0.0: jsonb knows no negative zero, so `plain` makes it 0.0 before anybody sees it.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from math import copysign, isfinite
from typing import Any, Final, NoReturn, TypeGuard, cast

import orjson

MAX_DEPTH: Final = 64
"""Lists and objects within each other. Every reader on the way has a limit of its own (Python's recursion, browsers,
agents' processes); this is far below all of them, and above what people nest."""
MAX_VALUES: Final = 1_000_000
"""Each takes two bytes at least, so what holds more is larger than anything that Pavo stores. It bounds the check."""
_LEAVES: Final = frozenset((str, int, bool, type(None)))
"""Types whose values need no check: the writer itself refuses what it cannot write."""
_KINDS: Final = "None, bool, int, finite float, str, lists, and dicts with string keys"
_WIDE: Final = re.compile(rb"\de\+\d")
"""What a float of 1e16 or more holds as the writer spells it, like 1e+22 (and perhaps some text)."""
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class NotStorable(ValueError):
    """A value that cannot be kept as JSON: `str()` says why, `remedy` what to do about it."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.remedy = remedy


def plain(value: Any) -> tuple[Any, int]:
    """The value as it will come back from PostgreSQL, and its size as JSON in bytes.

    That is the value itself, unless it holds tuples (they become lists), subclasses of the JSON types (they become
    these types) or -0.0.

    Raises:
        NotStorable: what it holds is not JSON, nested deeper than MAX_DEPTH, or nothing that PostgreSQL can store.
    """
    if not _survey(value):
        value = _rebuilt(value)
    try:
        data = encode(value)
    except (TypeError, RecursionError) as error:
        raise _unwritable(error) from error
    if b"\\u0000" in data and _NUL.search(data):  # the first is quick, and nearly always enough
        raise NotStorable(
            "it holds a NUL character, which PostgreSQL cannot store", "Remove it: text.replace('\\0', '')."
        )
    return value, len(data)


def encode(value: Any) -> bytes:
    """JSON in UTF-8 without line breaks, for PostgreSQL: large floats are spelled so that jsonb keeps them floats.

    Raises:
        TypeError: it is not JSON. Whatever `plain` answers is.
    """
    data = orjson.dumps(value)
    return orjson.dumps(_spelled_out(value)) if b"e+" in data and _WIDE.search(data) else data


def fingerprint(value: Any) -> str:
    """SHA-256, in hex, of a value that `plain` answered or that was read: the same for what PostgreSQL gives back."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def encode_text(value: Any) -> str:
    """As `encode`, for statements."""
    return encode(value).decode()


def decode(data: str | bytes) -> Any:
    """What JSON says. Integers beyond 64 bits become floats: Pavo writes none, so they were floats once.

    Raises:
        ValueError: it is no JSON.
    """
    return orjson.loads(data)


def _survey(value: Any) -> bool:
    """Check everything inside, level by level; answers whether all of it is in exact types, as reading JSON gives
    them."""
    exact, values, depth = True, 0, -1
    level: list[Collection[Any]] = [(value,)]
    while level:
        depth += 1
        values += sum(map(len, level))
        if depth > MAX_DEPTH:
            raise NotStorable(f"it is nested deeper than {MAX_DEPTH} levels", "Flatten it.")
        if values > MAX_VALUES:
            raise NotStorable(f"it holds more than {MAX_VALUES:,} values", "Keep large data elsewhere.")
        below: list[Collection[Any]] = []
        for members in level:
            if not _LEAVES.issuperset(map(type, members)):
                for item in members:
                    exact &= _look(item, below)
        level = below
    return exact


def _look(item: object, below: list[Collection[Any]]) -> bool:
    """Whether this value is in an exact type; what it contains is put below."""
    kind = type(item)
    if kind in _LEAVES:
        return True
    if isinstance(item, dict):
        members = cast(dict[Any, Any], item)
        below.append(members.values())
        return _look_at_keys(members) and kind is dict
    if isinstance(item, list | tuple):
        below.append(cast(Collection[Any], item))
        return kind is list
    if isinstance(item, float):
        if not isfinite(item):
            _refuse(f"it is not JSON: it holds {float(item)}")
        return kind is float and not _is_negative_zero(item)
    if not isinstance(item, str | int):
        _refuse(f"it is not JSON: it holds a value of the type {kind.__name__}")
    return False


def _look_at_keys(members: Mapping[Any, Any]) -> bool:
    for key in members:
        if not isinstance(key, str):
            raise NotStorable(
                f"it has the key {key!r}, which is no string", "JSON would turn it into one: use string keys."
            )
    return all(type(key) is str for key in members)


def _is_negative_zero(number: float) -> bool:
    return number == 0 and copysign(1, number) < 0


def _refuse(detail: str) -> NoReturn:
    raise NotStorable(detail, f"Use only {_KINDS}.")


def _rebuilt(item: Any) -> Any:
    """The same in exact types; recursive, for what `_survey` has seen."""
    if isinstance(item, dict):
        members = cast(dict[str, Any], item)
        return {str.__str__(key): _rebuilt(value) for key, value in members.items()}
    if _is_list(item):
        return [_rebuilt(value) for value in item]
    if isinstance(item, str):
        return str.__str__(item)
    if isinstance(item, float):
        return float.__float__(item) + 0.0  # which makes -0.0 a 0.0
    if item is None or isinstance(item, bool):
        return item
    return int.__int__(item)


def _spelled_out(item: Any) -> Any:
    """The same with large floats as decimals that end in .0: jsonb would make an integer of 1e22."""
    if isinstance(item, dict):
        return {key: _spelled_out(value) for key, value in cast(dict[str, Any], item).items()}
    if _is_list(item):
        return [_spelled_out(value) for value in item]
    if isinstance(item, float) and abs(item) >= 1e16:
        return orjson.Fragment(f"{item:.1f}")
    return item


def _is_list(item: object) -> TypeGuard[Collection[Any]]:
    return isinstance(item, list | tuple)


def _unwritable(error: Exception) -> NotStorable:
    said = str(error)
    if "surrogate" in said:
        detail = "it holds a lone surrogate, which is no Unicode text"
        return NotStorable(detail, "Decode bytes with errors='replace'.")
    if "64-bit" in said:
        detail = "it holds an integer beyond 64 bits, which JSON's readers lose"
        return NotStorable(detail, "Write it as text, or as a float.")
    return NotStorable(f"it is not JSON: {said}", f"Use only {_KINDS}.")
