"""Schedules and firings as they are shown."""

from datetime import timedelta
from typing import Any

from pavo.kit.pagination import Page
from pavo.schedules.models import FiringRow
from pavo.schedules.schemas import FiringOut, FiringPage, PausedOut, ScheduleOut
from pavo.schedules.service import ScheduleView
from pavo.schedules.times.spec import TimesSpec


def schedule_out(view: ScheduleView) -> ScheduleOut:
    """A schedule."""
    row = view.row
    plain: dict[str, Any] = {name: getattr(row, name) for name in ScheduleOut.model_fields if hasattr(row, name)}
    paused = PausedOut(at=row.paused_at, by=view.paused_by, reason=row.paused_reason) if row.paused_at else None
    shown: dict[str, Any] = {
        "times": TimesSpec.model_validate(row.times),
        "catch_up": timedelta(seconds=row.catch_up_seconds),
        "paused": paused,
        "acts_for": view.acts_for,
        "in_step": row.mirrored == row.version,
        "next": [*view.next],
    }
    return ScheduleOut(**{**plain, **shown})


def firing_out(row: FiringRow) -> FiringOut:
    """A firing."""
    return FiringOut.model_validate(row)


def firing_page(found: Page[FiringRow]) -> FiringPage:
    """Some of them."""
    return FiringPage(items=[firing_out(each) for each in found.items], next_cursor=found.next_cursor)
