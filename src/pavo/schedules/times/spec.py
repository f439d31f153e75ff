"""When a schedule starts something, as it is written: by cron, by calendar, by interval, or several of them."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from pavo.flows.definition.durations import PATTERN, duration_of
from pavo.kit.texts.fields import Text

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def _length(value: object) -> timedelta:
    length = value if isinstance(value, timedelta) else duration_of(value)
    if length.microseconds:
        raise ValueError("it has less than seconds in it: use whole seconds")
    return length


def length_text(length: timedelta) -> str:
    """Such as `1h30m`; of none `0s`."""
    left, found = int(length.total_seconds()), ""
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        found += f"{count}{unit}" if count else ""
    return found or "0s"


Length = Annotated[
    timedelta,
    BeforeValidator(_length),
    PlainSerializer(length_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
"""Written like `30s`, `1h30m` or `7d`, in whole seconds; at most a year."""
NONE: Final = timedelta()
_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
FieldText = Annotated[Text, Field(max_length=200)]


class CalendarSpec(BaseModel):
    """Times at which all of its fields hold, each written as in cron: `*/15`, `MON-FRI`, `1,15`."""

    model_config = _STRICT

    second: FieldText = "0"
    minute: FieldText = "0"
    hour: FieldText = "0"
    day_of_month: FieldText = "*"
    month: FieldText = "*"
    """1 to 12, or JAN to DEC."""
    day_of_week: FieldText = "*"
    """0 to 6 from Sunday, or SUN to SAT; 7 is Sunday too."""
    year: FieldText = "*"


class IntervalSpec(BaseModel):
    """Times that follow one another, counted from 1970-01-01T00:00:00Z."""

    model_config = _STRICT

    every: Length
    offset: Length = Field(default_factory=timedelta)
    """Later than that, each of them; less than `every`."""


class TimesSpec(BaseModel):
    """When: the times of all its cron lines, calendars and intervals together, without those that are skipped."""

    model_config = _STRICT

    cron: list[Annotated[Text, Field(max_length=300)]] = Field(default_factory=list[str], max_length=20)
    """Lines of five fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly,
    @yearly."""
    calendars: list[CalendarSpec] = Field(default_factory=list[CalendarSpec], max_length=20)
    intervals: list[IntervalSpec] = Field(default_factory=list[IntervalSpec], max_length=20)
    skip: list[CalendarSpec] = Field(default_factory=list[CalendarSpec], max_length=50)
    """Times at which nothing starts, whatever else says so; such as holidays: hour, minute and second `*`."""
    time_zone: Annotated[Text, Field(max_length=100)] = "UTC"
    """Of cron lines and calendars, such as Europe/Berlin. A time that the clock leaps over does not come on that day;
    one that it shows twice comes once."""
    jitter: Length = Field(default_factory=timedelta)
    """Each start is later by up to so much."""
    start: AwareDatetime | None = None
    """Nothing starts before."""
    end: AwareDatetime | None = None
    """Nothing starts after."""
