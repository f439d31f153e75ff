"""The places of one worker: how many tasks of one agent and organisation it executes at once, and how many it plans, so
that steps of theirs that hang leave room for others.
"""

import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

Group: TypeAlias = tuple[str, uuid.UUID]
"""An agent, and the organisation that it works for."""

FORGOTTEN_SECONDS: Final = 15.0
"""A task that waits is offered again sooner than that; one that is not was stopped, or went to another worker."""


class Places:
    """Who has a place, and who waits for one.

    A group gets as many places as are left free: alone `size`, two groups two thirds of it each, three a half, and so
    on; and whoever comes next always finds some. Within a group it is first come, first served.

    Args:
        size: of a group that is alone.
        noun: what has the places, for people.
    """

    def __init__(self, size: int, noun: str = "tasks") -> None:
        self.noun = noun
        self._total = 2 * size
        self._taken: Counter[Group] = Counter()
        self._waiting: dict[Group, dict[uuid.UUID, float]] = {}
        """By group, in the order in which they came first: when they came last."""

    def take(self, group: Group, task_id: uuid.UUID) -> bool:
        """Whether the task gets a place; if not, it waits for one."""
        waiting = self._live(group)
        before = list(waiting).index(task_id) if task_id in waiting else len(waiting)
        free = self._total - self._taken.total() - self._taken[group]
        if free > 2 * before:  # each place that is taken leaves a group two fewer
            waiting.pop(task_id, None)
            self._taken[group] += 1
            return True
        self._waiting.setdefault(group, waiting)[task_id] = time.monotonic()
        return False

    def give(self, group: Group) -> uuid.UUID | None:
        """Give a place back; the task that waits longest for it, if one does."""
        self._taken[group] -= 1
        if not self._taken[group]:
            del self._taken[group]
        return next(iter(self._live(group)), None)

    def waiting(self) -> int:
        """How many tasks wait for a place; from any thread."""
        since = time.monotonic() - FORGOTTEN_SECONDS
        return sum(seen >= since for group in list(self._waiting.values()) for seen in list(group.values()))

    def taken(self) -> Mapping[Group, int]:
        """How many places each group has."""
        return dict(self._taken)

    def _live(self, group: Group) -> dict[uuid.UUID, float]:
        since = time.monotonic() - FORGOTTEN_SECONDS
        waiting = {task_id: seen for task_id, seen in self._waiting.pop(group, {}).items() if seen >= since}
        if waiting:
            self._waiting[group] = waiting
        return waiting
