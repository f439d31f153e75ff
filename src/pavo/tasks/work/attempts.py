"""The attempts of this process, by task."""

import uuid

from pavo.observe import metrics
from pavo.tasks.work.interruption import HINT, Interruption


class Attempts:
    """The attempts that run on one event loop, so that a hint finds them by task."""

    def __init__(self) -> None:
        self._running: dict[uuid.UUID, set[Interruption]] = {}

    def begin(self, task_id: uuid.UUID, interruption: Interruption) -> None:
        """Make an attempt known."""
        metrics.ATTEMPTS.add()
        self._running.setdefault(task_id, set()).add(interruption)

    def end(self, task_id: uuid.UUID, interruption: Interruption) -> None:
        """Forget it."""
        metrics.ATTEMPTS.add(by=-1)
        group = self._running.get(task_id, set())
        group.discard(interruption)
        if not group:
            self._running.pop(task_id, None)

    def runs(self, task_id: uuid.UUID) -> bool:
        """Whether one is under way for this task, beginning with what it does before it has the lease."""
        return task_id in self._running

    def move_on(self) -> None:
        """Have all that run end at their next step boundary, for their runs to continue as new."""
        for group in self._running.values():
            for interruption in group:
                interruption.moving = True

    def hint(self, task_id: uuid.UUID) -> None:
        """Interrupt what runs for this task, if anything does."""
        for interruption in self._running.get(task_id, ()):
            interruption.interrupt(HINT)
