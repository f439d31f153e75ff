"""Pure rules of schedules: what begins, waits or is left out while something of before is still open."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

NOUN: Final = "schedule"
"""What people call one of them: see `runs.kinds.Kind`."""
Overlap: TypeAlias = Literal["SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL"]
Which: TypeAlias = Literal["missing", "failed", "all"]

BY_SCHEDULE: Final = "schedule"
CAUGHT_UP: Final = "catch_up"
TRIGGERED: Final = "trigger"
BACKFILLED: Final = "backfill"

LATE: Final = timedelta(seconds=60)
"""After its time, and its jitter, a firing is not waited for any longer: the second line writes it down."""
PREFIX: Final = "pavo-schedule:"


def mirror_prefix(task_queue: str) -> str:
    """How the ids of Temporal's schedules begin that mirror those of this task queue."""
    return f"{PREFIX}{task_queue}:"


def mirror_id(task_queue: str, schedule_id: uuid.UUID) -> str:
    """Of the schedule in Temporal; its workflows' ids begin with it."""
    return f"{mirror_prefix(task_queue)}{schedule_id}"


def schedule_of_workflow(workflow_id: str) -> str | None:
    """The schedule whose workflow has this id; None for other workflows."""
    if not workflow_id.startswith(PREFIX):
        return None
    return next((part[:36] for part in workflow_id.split(":")[2:] if _is_id(part[:36])), None)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Due:
    """A firing that is to begin."""

    id: uuid.UUID
    nominal_at: datetime
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of what is due."""

    begin: uuid.UUID | None = None
    """This one begins; what comes after it is decided anew then."""
    skip: Sequence[tuple[uuid.UUID, str]] = ()
    """These never begin, and why."""
    stop: bool = False
    """What is open is to be stopped."""
    without_waiting: bool = False
    """… and counts as over at once."""
    waits: Sequence[uuid.UUID] = ()
    """These begin when what is open is over."""


def decide(due: Sequence[Due], busy: str) -> Decision:
    """What becomes of a schedule's due firings.

    Args:
        due: oldest first.
        busy: what its firings started and is not over, in words; empty: nothing.
    """
    skip, waits = list[tuple[uuid.UUID, str]](), list[uuid.UUID]()
    stop = one_waits = False
    replacing = next((each.id for each in reversed(due) if each.overlap == "CANCEL_OTHER"), None)
    for each in due:
        if each.overlap == "ALLOW_ALL" or not busy:
            return Decision(each.id, skip, stop, False, waits)
        if each.overlap == "TERMINATE_OTHER":
            return Decision(None, skip, True, True, waits)
        if (why := _left_out(each, busy, one_waits, replacing)) is not None:
            skip.append((each.id, why))
            continue
        waits.append(each.id)
        one_waits = one_waits or each.overlap == "BUFFER_ONE"
        stop = stop or each.overlap == "CANCEL_OTHER"
    return Decision(None, skip, stop, False, waits)


def _left_out(each: Due, busy: str, one_waits: bool, replacing: uuid.UUID | None) -> str | None:
    if each.overlap == "SKIP":
        return f"{busy} (SKIP)"
    if each.overlap == "BUFFER_ONE" and one_waits:
        return f"{busy}, and another one waits for that (BUFFER_ONE)"
    if each.overlap == "CANCEL_OTHER" and each.id != replacing:
        return f"{busy}, and a later one takes its place (CANCEL_OTHER)"
    return None
