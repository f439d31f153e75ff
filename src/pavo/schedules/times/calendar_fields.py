"""The fields of calendars and cron lines: texts such as `*/15`, `MON-FRI` or `1,15`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pavo.errors import InvalidInput

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART: Final = re.compile(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)
LONGEST: Final = 200
"""Characters of one field."""


@dataclass(frozen=True, slots=True)
class CalendarField:
    """What one of the fields takes."""

    name: str
    first: int
    last: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])


SECOND: Final = CalendarField("second", 0, 59)
MINUTE: Final = CalendarField("minute", 0, 59)
HOUR: Final = CalendarField("hour", 0, 23)
DAY_OF_MONTH: Final = CalendarField("day_of_month", 1, 31)
MONTH: Final = CalendarField("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
DAY_OF_WEEK: Final = CalendarField("day_of_week", 0, 7, {name: number for number, name in enumerate(_DAYS)})
"""0 and 7 are both Sunday."""
YEAR: Final = CalendarField("year", 2000, 2100)
FIELDS: Final = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


def values_of(text: str, which: CalendarField, place: str) -> frozenset[int]:
    """The numbers that a field's text means.

    Args:
        place: the field of the request, for the error.

    Raises:
        InvalidInput: it is none; the error names the place and what would be one.
    """
    if not 0 < len(text) <= LONGEST:
        raise _wrong(text, which, place)
    found = set[int]()
    for part in text.upper().split(","):
        found.update(_range_of(part.strip(), text, which, place))
    return frozenset(each % 7 for each in found) if which is DAY_OF_WEEK else frozenset(found)


def _range_of(part: str, text: str, which: CalendarField, place: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise _wrong(text, which, place)
    whole, first, last, step = match.groups()
    every = int(step or 1)
    if whole == "*":
        begins, ends = which.first, which.last - (which is DAY_OF_WEEK)
    else:
        begins = _number(first, text, which, place)
        open_end = which.last - (which is DAY_OF_WEEK) if step else begins
        ends = _number(last, text, which, place) if last else open_end
    if every < 1 or begins > ends:
        raise _wrong(text, which, place)
    return range(begins, ends + 1, every)


def _number(word: str, text: str, which: CalendarField, place: str) -> int:
    if word in which.names:
        return which.names[word]
    if not word.isdigit() or not which.first <= int(word) <= which.last:
        raise _wrong(text, which, place)
    return int(word)


def _wrong(text: str, which: CalendarField, place: str) -> InvalidInput:
    names = f", or names ({', '.join(which.names)})" if which.names else ""
    remedy = f"Use numbers from {which.first} to {which.last}{names}; *, a-b, */n, a-b/n, and commas between."
    return InvalidInput(f"{text[:60]!r} is no {which.name.replace('_', ' ')}.", field=place, remedy=remedy)
