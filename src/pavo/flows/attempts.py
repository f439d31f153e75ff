"""What an engine asks of whoever does steps, what it is answered, and the waits that it does itself."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from pavo.flows.definition.durations import duration_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.ledger.changes import ResultKey
from pavo.observe import metrics

BEGINS_WORK: Final = frozenset(("agent", "job", "gate", "flow"))
"""Steps whose attempt begins work of others, within a moment. It is not cut: nobody would know of that work."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a step has others do: a task, a job."""

    kind: str
    work_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of one attempt at a step."""

    output: Any = None
    error: str | None = None
    kind: str = "error"
    """Of the failure: transient, timeout or error."""
    unknown: bool = False
    """Whether it happened cannot be told."""
    awaits: Awaited | None = None
    """It was begun, and ends when this is over."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an attempt is told."""

    run_id: uuid.UUID
    organisation_id: uuid.UUID
    key: ResultKey
    idempotency_key: str
    attempt: int
    tool: str
    """Of what undoes a step; empty: the step says what it does."""
    values: Mapping[str, Any]
    """By member of the step, with its expressions evaluated."""


class Steps(Protocol):
    """What steps do. Attempts are total and bounded: they answer, whatever happens."""

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        """Whether an attempt that was interrupted may be made again, with the same key."""
        ...

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        """Do it."""
        ...


class Timed:
    """The same steps, whose attempts are timed for the metrics."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        """See `Steps`."""
        return self._steps.is_repeatable(step, undoes=undoes)

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        """See `Steps`; one that is cut is not counted."""
        began = time.monotonic()
        attempted = await self._steps.attempt(step, given)
        metrics.FLOW_ATTEMPT_SECONDS.observe(time.monotonic() - began, "tool" if given.tool else step.kind)
        return attempted


def timer_of(step: WrittenStep, given: Mapping[str, Any]) -> timedelta | datetime:
    """How long a step waits, or until when.

    Args:
        given: its members, with their expressions evaluated.

    Raises:
        ValueError: they say neither.
    """
    if step.sleep is not None:
        return duration_of(given["sleep"])
    text = given["until"]
    found = datetime.fromisoformat(text) if isinstance(text, str) else None
    if found is None or found.tzinfo is None:
        raise ValueError(f"`until` gives {text!r:.100}: a time such as 2026-11-26T08:00:00Z is wanted")
    return found


def seconds_of(timer: timedelta | datetime, now: datetime) -> float:
    """From now."""
    return timer.total_seconds() if isinstance(timer, timedelta) else (timer - now).total_seconds()
