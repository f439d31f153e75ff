"""Lengths of time as flows write them."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

PATTERN: Final = r"^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
LONGEST: Final = timedelta(days=366)
_PARTS: Final = re.compile(PATTERN)
_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds")


def duration_of(text: object) -> timedelta:
    """Such as `30s`, `1h30m`, `7d`.

    Raises:
        ValueError: it is none, or longer than a year.
    """
    found = _PARTS.fullmatch(text) if isinstance(text, str) and 0 < len(text) <= 40 else None
    if found is None:
        raise ValueError("it is no duration: write it like 30s, 1h30m or 7d")
    counts = {unit: int(part.rstrip("wdhms")) for unit, part in zip(_UNITS, found.groups(), strict=True) if part}
    try:
        length = timedelta(**counts)
    except OverflowError:
        length = timedelta.max
    if length > LONGEST:
        raise ValueError("it is longer than a year")
    return length


Duration = Annotated[timedelta, BeforeValidator(duration_of), WithJsonSchema({"type": "string", "pattern": PATTERN})]
"""Written like `30s`, `1h30m` or `7d`; at most a year."""
