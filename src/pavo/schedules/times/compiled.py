"""A schedule's times, checked: what computing and the mirror in Temporal go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pavo.errors import InvalidInput
from pavo.schedules.times.calendar_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    HOUR,
    MINUTE,
    MONTH,
    values_of,
)
from pavo.schedules.times.spec import NONE, CalendarSpec, IntervalSpec, TimesSpec

_CRON: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_NAMED: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIVE: Final = "Write five: minute, hour, day of month, month, day of week, such as 0 9 * * MON-FRI."
_EITHER: Final = "Write two lines, one for each; where both must hold, a calendar."


@dataclass(frozen=True, slots=True)
class Calendar:
    """Times at which each field has one of these values."""

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day_of_month: frozenset[int]
    month: frozenset[int]
    day_of_week: frozenset[int]
    """0 is Sunday."""
    year: frozenset[int] | None
    """None: every year."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Times that follow one another, counted from 1970."""

    every: timedelta
    offset: timedelta


@dataclass(frozen=True, slots=True)
class Times:
    """All of a schedule's."""

    calendars: Sequence[Calendar]
    intervals: Sequence[Interval]
    skip: Sequence[Calendar]
    zone: ZoneInfo
    jitter: timedelta
    start: datetime | None
    end: datetime | None


def compiled(spec: TimesSpec, place: str = "times") -> Times:
    """Check what is written.

    Args:
        place: where it stands in the request, for errors.

    Raises:
        InvalidInput: names the field and the remedy.
    """
    cron = [_of_cron(line, f"{place}.cron[{index}]") for index, line in enumerate(spec.cron)]
    calendars = [_calendar(each, f"{place}.calendars[{index}]") for index, each in enumerate(spec.calendars)]
    intervals = [_interval(each, f"{place}.intervals[{index}]") for index, each in enumerate(spec.intervals)]
    skip = [_calendar(each, f"{place}.skip[{index}]") for index, each in enumerate(spec.skip)]
    if not (cron or calendars or intervals):
        remedy = "Give at least one of cron, calendars and intervals."
        raise InvalidInput("It says no times.", field=place, remedy=remedy)
    if spec.start is not None and spec.end is not None and spec.end < spec.start:
        raise InvalidInput("It ends before it starts.", field=f"{place}.end", remedy="Give a later end.")
    zone = _zone(spec.time_zone, f"{place}.time_zone")
    return Times((*cron, *calendars), tuple(intervals), tuple(skip), zone, spec.jitter, spec.start, spec.end)


def _of_cron(line: str, place: str) -> Calendar:
    words = _NAMED.get(line.strip().lower(), line).split()
    if len(words) != len(_CRON):
        raise InvalidInput(f"{line[:60]!r} has {len(words)} fields.", field=place, remedy=_FIVE)
    found = {which.name: values_of(word, which, place) for which, word in zip(_CRON, words, strict=True)}
    if words[2] != "*" and words[4] != "*":
        raise InvalidInput("It names days of the month and of the week.", field=place, remedy=_EITHER)
    return Calendar(second=frozenset((0,)), year=None, **found)


def _calendar(spec: CalendarSpec, place: str) -> Calendar:
    found = {which.name: values_of(getattr(spec, which.name), which, f"{place}.{which.name}") for which in FIELDS}
    year = found.pop("year")
    return Calendar(year=None if spec.year.strip() == "*" else year, **found)


def _interval(spec: IntervalSpec, place: str) -> Interval:
    if spec.every <= NONE:
        raise InvalidInput("It is no time.", field=f"{place}.every", remedy="Give a second at least, such as 15m.")
    if spec.offset >= spec.every:
        raise InvalidInput("It is not less than `every`.", field=f"{place}.offset", remedy="Give less.")
    return Interval(spec.every, spec.offset)


def _zone(name: str, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        remedy = "Use a name of the IANA database, such as Europe/Berlin or UTC."
        raise InvalidInput(f"There is no time zone {name[:60]!r}.", field=place, remedy=remedy) from error
