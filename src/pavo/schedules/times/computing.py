"""When a schedule's times are: computed as Temporal computes them, for a schedule of its own mirrors ours.

Its rules are those of `service/worker/scheduler/calendar.go` of its server, also in the nights in which clocks are put
back; `tests/schedules/test_times.py` compares with a real server.
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from pavo.schedules.times.compiled import Calendar, Interval, Times

_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR: Final = 2100
MOST_SKIPPED: Final = 5_000
"""Times in a row that are skipped; after so many there is none any more."""


def following(times: Times, after: datetime) -> datetime | None:
    """The first time after this moment, in UTC, without jitter; None: there is none any more."""
    if times.start is not None and after < times.start:
        after = max(after, times.start.astimezone(UTC) - _SECOND)
    for _ in range(MOST_SKIPPED):
        found = _any(times, after)
        if found is None or (times.end is not None and found > times.end):
            return None
        if not any(_matches(each, found.astimezone(times.zone)) for each in times.skip):
            return found
        after = found
    return None


def upcoming(times: Times, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """One after the other, those after this moment, up to and with the last one."""
    while (found := following(times, after)) is not None and (until is None or found <= until):
        yield found
        after = found


def first(times: Times, after: datetime, count: int) -> list[datetime]:
    """The next so many."""
    return list(islice(upcoming(times, after), count))


def is_one(times: Times, moment: datetime) -> bool:
    """Whether something starts at this moment."""
    return following(times, moment - _SECOND) == moment


def _any(times: Times, after: datetime) -> datetime | None:
    found = [each for one in times.calendars if (each := _Clock(one, times.zone, after).next()) is not None]
    found += [_of_interval(one, after) for one in times.intervals]
    return min(found, default=None)


def _of_interval(interval: Interval, after: datetime) -> datetime:
    passed = (after - _EPOCH - interval.offset) // interval.every
    return _EPOCH + interval.offset + (passed + 1) * interval.every


def _matches(one: Calendar, local: datetime) -> bool:
    return (
        local.second in one.second
        and local.minute in one.minute
        and local.hour in one.hour
        and local.day in one.day_of_month
        and local.isoweekday() % 7 in one.day_of_week
        and local.month in one.month
        and (one.year is None or local.year in one.year)
    )


_HOUR: Final = timedelta(hours=1)


class _Clock:
    """What the clocks of a zone show, moved on until a calendar agrees."""

    def __init__(self, one: Calendar, zone: ZoneInfo, after: datetime) -> None:
        local = after.astimezone(zone)
        self._one, self._zone = one, zone
        self._year, self._month, self._day = local.year, local.month, local.day
        self._hour, self._minute, self._second = local.hour, local.minute, local.second + 1
        again = (after - _HOUR).astimezone(zone).hour == local.hour
        self._again = _HOUR if again else timedelta()
        """An hour while the clocks show an hour for the second time."""

    def next(self) -> datetime | None:
        """The first instant after the one that it began with; None: there is none."""
        steps = (self._to_year, self._to_month, self._to_day, self._to_hour, self._to_minute, self._to_second)
        while self._carry():
            if not all(step() for step in steps):
                continue
            found = self._instant(self._hour, self._minute, self._second)
            if found.astimezone(self._zone).hour == self._hour:
                return found + self._again
            self._set_time(self._hour + 1)  # the clocks leap over it
        return None

    def _carry(self) -> bool:
        """Have each part within its bounds; False: beyond the last year."""
        if self._second >= 60:
            self._minute, self._second = self._minute + 1, 0
        if self._minute >= 60:
            self._end_hour()
        if self._hour >= 24:
            self._day, self._hour = self._day + 1, 0
        if self._month <= 12 and self._day > calendar.monthrange(self._year, self._month)[1]:
            self._month, self._day = self._month + 1, 1
        if self._month > 12:
            self._year, self._month = self._year + 1, 1
        return self._year <= LAST_YEAR

    def _end_hour(self) -> None:
        length = self._instant(self._hour + 1) - self._instant(self._hour)
        if not self._again and length > _HOUR:  # it comes a second time
            self._again, self._minute = _HOUR, 0
        else:
            self._again, self._hour, self._minute = timedelta(), self._hour + 1, 0

    def _set_time(self, hour: int) -> None:
        self._hour, self._minute, self._second = hour, 0, 0

    def _to_year(self) -> bool:
        if self._one.year is None or self._year in self._one.year:
            return True
        self._year, self._month, self._day, self._again = self._year + 1, 1, 1, timedelta()
        self._set_time(0)
        return False

    def _to_month(self) -> bool:
        while self._month not in self._one.month:
            self._month, self._day, self._again = self._month + 1, 1, timedelta()
            self._set_time(0)
            if self._month > 12:
                return False
        return True

    def _to_day(self) -> bool:
        last = calendar.monthrange(self._year, self._month)[1]
        while not self._is_day():
            self._day, self._again = self._day + 1, timedelta()
            self._set_time(0)
            if self._day > last:
                return False
        return True

    def _is_day(self) -> bool:
        if self._day not in self._one.day_of_month:
            return False
        instant = self._instant(self._hour, self._minute, self._second)
        return instant.astimezone(self._zone).isoweekday() % 7 in self._one.day_of_week

    def _to_hour(self) -> bool:
        while self._hour not in self._one.hour:
            self._set_time(self._hour + 1)
            self._again = timedelta()
            if self._hour >= 24:
                return False
        return True

    def _to_minute(self) -> bool:
        while self._minute not in self._one.minute:
            self._minute, self._second = self._minute + 1, 0
            if self._minute >= 60:
                return False
        return True

    def _to_second(self) -> bool:
        while self._second not in self._one.second:
            self._second += 1
            if self._second >= 60:
                return False
        return True

    def _instant(self, hour: int, minute: int = 0, second: int = 0) -> datetime:
        """As Go's `time.Date` reads clocks: of a time that they show twice it takes the one whose offset holds at that
        time of UTC."""
        in_utc = datetime(self._year, self._month, self._day, tzinfo=UTC)
        in_utc += timedelta(hours=hour, minutes=minute, seconds=second)
        offset = in_utc.astimezone(self._zone).utcoffset() or timedelta()
        there = (in_utc - offset).astimezone(self._zone).utcoffset() or timedelta()
        return in_utc - there
