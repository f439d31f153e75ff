"""What agents say while their steps are under way: from a worker to Redis, taken back where nothing came of it."""

import uuid
from typing import Final
from weakref import WeakValueDictionary

from pavo.agents.emitting.coalescer import Coalescer
from pavo.timeline.deltas import NO_STEP, RECORDED, SUPERSEDED, Said, over_message
from pavo.timeline.merge import Parts
from pavo.timeline.publish import Publisher

_LAST: Final = 2**53
"""An attempt after which none comes, in numbers that Redis' scripts compare exactly."""


class TaskDeltas:
    """What one attempt says: an `agents.contract.Emitter`. A parked agent goes on with it in its next attempt."""

    def __init__(self, publisher: Publisher, task_id: uuid.UUID, attempt: int) -> None:
        self._publisher = publisher
        self._task_id = task_id
        self.attempt = attempt
        """Under which it began."""
        self._said: Said | None = None
        self._over = -1
        """Up to this step nothing is said any more."""
        gathering = Coalescer(self._say)
        self.emit, self.show = gathering.emit, gathering.add

    def _say(self, step: int, more: Parts) -> None:
        if step <= self._over:
            return
        if self._said is None or self._said.step != step:
            self._said = Said(self.attempt, step)
        self._said.add(more)
        self._publisher.say(self._task_id, self.attempt, self._said.message(more), self._said.kept())

    def recorded(self, step: int) -> None:
        """This step is recorded: what was said in it stands in the timeline."""
        self._end(step, RECORDED)

    def end(self) -> None:
        """The attempt is over: what it did not record is taken back."""
        self._end(NO_STEP, SUPERSEDED)

    def _end(self, step: int, how: str) -> None:
        self._over = max(self._over, step)
        said = self._said
        if said is not None and said.step <= step:
            self._said = None
            self._publisher.say(self._task_id, self.attempt, over_message(self.attempt, said.step, how))


class WorkerDeltas:
    """Those of all attempts of a worker."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._of: WeakValueDictionary[uuid.UUID, TaskDeltas] = WeakValueDictionary()

    def begin(self, task_id: uuid.UUID, attempt: int) -> TaskDeltas:
        """Where this attempt may speak. What earlier ones said is taken back: they may have died in the middle."""
        if attempt > 1:
            self._publisher.say(task_id, attempt, over_message(attempt - 1, NO_STEP, SUPERSEDED))
        deltas = self._of[task_id] = TaskDeltas(self._publisher, task_id, attempt)
        return deltas

    def recorded(self, task_id: uuid.UUID, step: int) -> None:
        """The task's step is recorded."""
        if (deltas := self._of.get(task_id)) is not None:
            deltas.recorded(step)

    def end(self, task_id: uuid.UUID, attempt: int) -> None:
        """The task's attempt is over; a newer one of this worker goes on."""
        deltas = self._of.get(task_id)
        if deltas is not None and deltas.attempt <= attempt:
            deltas.end()


def forget(publisher: Publisher, task_id: uuid.UUID) -> None:
    """Have Redis keep nothing of what a deleted task's agent said."""
    publisher.say(task_id, _LAST, over_message(_LAST, NO_STEP, SUPERSEDED))
