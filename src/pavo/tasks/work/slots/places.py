"""The places of one worker: how many tasks of one agent and organisation it executes at once, and how many it plans, so
that steps of theirs that hang leave room for others; and how many it executes and plans in all.
"""

import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

Group: TypeAlias = tuple[str, uuid.UUID]
"""An agent, and the organisation that it works for."""

ALL: Final[Group] = ("", uuid.UUID(int=0))
"""In the place of any group."""
SHORTEST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0
OFFERS_A_SECOND: Final = 10.0
"""Of all tasks that wait together: each costs reads and writes, also where many wait. Whoever gives a place back wakes
the next one, and a place that another worker has is found in a tenth of a second."""
LATE_SECONDS: Final = 10.0
"""A task that waits is offered again no later than that after it should be, or after it was woken; one that is not was
stopped, or went to another worker."""


class Places:
    """Who has a place, and who waits for one.

    A group gets as many places as are left free: alone `size`, two groups two thirds of it each, three a half, and so
    on; so that whoever comes next finds some, until the hung tasks of many groups have them all: of eight where `size`
    is 100, of three where it is 2. Within a group it is first come, first served.

    Args:
        size: of a group that is alone.
        noun: what has the places, for people.
    """

    def __init__(self, size: int, noun: str = "tasks") -> None:
        self.noun = noun
        self._total = 2 * size
        self._taken: Counter[Group] = Counter()
        self._waiting: dict[Group, dict[uuid.UUID, float]] = {}
        """By group, in the order in which they came first: until when they are to come again."""

    @property
    def wanting(self) -> str:
        """What a task waits for that gets none, for people."""
        return f"a place: the agent's other {self.noun} have all that it may have"

    def take(self, group: Group, task_id: uuid.UUID) -> bool:
        """Whether the task gets a place; if not, it waits for one."""
        waiting = self._live(group)
        before = list(waiting).index(task_id) if task_id in waiting else len(waiting)
        free = self._total - self._taken.total() - self._taken[group]
        if free > 2 * before:  # each place that is taken leaves a group two fewer
            waiting.pop(task_id, None)
            self._taken[group] += 1
            return True
        self._waiting[group] = waiting
        waiting[task_id] = time.monotonic() + self.pause() + LATE_SECONDS
        return False

    def pause(self) -> float:
        """Seconds until one that waits is offered again, at most: the longer, the more wait with it."""
        return min(max(SHORTEST_PAUSE_SECONDS, self.waiting() / OFFERS_A_SECOND), LONGEST_PAUSE_SECONDS)

    def give(self, group: Group) -> uuid.UUID | None:
        """Give a place back; the task that is woken for it, if one waits."""
        self._taken[group] -= 1
        if not self._taken[group]:
            del self._taken[group]
        return self._woken(group)

    def forget(self, group: Group, task_id: uuid.UUID) -> uuid.UUID | None:
        """One that was to be woken waits no more; who is woken in its place."""
        for waiting in self._waiting.values():
            waiting.pop(task_id, None)
        return self._woken(group)

    def _woken(self, group: Group) -> uuid.UUID | None:
        """The task that waits longest, first of this group: what one gives back another may have."""
        for each in (group, *self._waiting):
            for task_id in (waiting := self._live(each)):
                waiting[task_id] = time.monotonic() + LATE_SECONDS
                return task_id
        return None

    def waiting(self) -> int:
        """How many tasks wait for a place; from any thread."""
        now = time.monotonic()
        return sum(until >= now for group in list(self._waiting.values()) for until in list(group.values()))

    def taken(self) -> Mapping[Group, int]:
        """How many places each group has."""
        return dict(self._taken)

    def _live(self, group: Group) -> dict[uuid.UUID, float]:
        now = time.monotonic()
        waiting = {task_id: until for task_id, until in self._waiting.pop(group, {}).items() if until >= now}
        if waiting:
            self._waiting[group] = waiting
        return waiting


class WorkerPlaces(Places):
    """The same for all groups together: never more than `size` at once, and first come, first served.

    Args:
        size: activities that run agents, whatever they do.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)

    @property
    def wanting(self) -> str:
        """What a task waits for that gets none, for people."""
        return "a worker: this one executes as many activities at once as it may"

    def take(self, group: Group, task_id: uuid.UUID) -> bool:
        """Whether the task gets a place; if not, it waits for one."""
        return super().take(ALL, task_id)

    def give(self, group: Group) -> uuid.UUID | None:
        """Give a place back; the task that is woken for it, if one waits."""
        return super().give(ALL)

    def forget(self, group: Group, task_id: uuid.UUID) -> uuid.UUID | None:
        """One that was to be woken waits no more; who is woken in its place."""
        return super().forget(ALL, task_id)
