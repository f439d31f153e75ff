"""Moments as people read them."""

from datetime import datetime


def local_time(moment: datetime | None) -> str:
    """To the minute, in this machine's zone; empty without one."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
