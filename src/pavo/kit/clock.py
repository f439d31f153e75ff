"""The wall clock, always with its zone, moments as people say them, and time in which this process ran."""

import asyncio
import re
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pavo.errors import InvalidInput

_AGO: Final = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}

LONGEST_AGE: Final = timedelta(days=36_525)
"""A hundred years."""


TICK_SECONDS: Final = 1.0
"""So often `wait_awake` looks whether the process stood still; a shorter wait looks more often."""


async def wait_awake(
    futures: "Collection[asyncio.Future[Any]]", seconds: float, tick: float = TICK_SECONDS
) -> "set[asyncio.Future[Any]]":
    """Those that are done, as soon as one is; none after so many seconds in which this process ran.

    One that a signal stops (SIGSTOP), or whose machine is suspended, takes no longer by that: what took no time of its
    own is not late.
    """
    tick = min(tick, seconds / 4)
    left = seconds
    while left > 0:
        before = time.monotonic()
        done, _ = await asyncio.wait(futures, timeout=min(tick, left), return_when=asyncio.FIRST_COMPLETED)
        if done:
            return done
        left -= min(time.monotonic() - before, 2 * tick)
    return set()


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as every API and event of Pavo shows a time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_or_age(text: str, *, field: str) -> datetime | timedelta:
    """What is meant by "2026-11-26" or "2026-11-26T08:00:00Z" (without a zone in UTC), or by "24h": so long ago.

    From when on that is counted, is for the caller to say: what is stored goes by PostgreSQL's clock.

    Raises:
        InvalidInput: it is none of these.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            age = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            if age > LONGEST_AGE:
                raise OverflowError
            return age
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{text[:40]!r} is no time.", field=field, remedy="Write 2026-11-26T08:00:00Z, or how long ago: 24h, 7d."
        ) from error
