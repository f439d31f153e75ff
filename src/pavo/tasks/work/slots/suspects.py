"""Tasks under suspicion: agents inside of a worker that may be what ended workers.

Several tasks share such an end, and which one did it nobody knows. So who has seen too many of them runs alone for a
while: what ends its worker then is its own work.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pavo.tasks import domain as d
from pavo.tasks.sql import admissions
from pavo.tasks.sql.admissions import Applicant
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.slots.handing_back import HandedBack

SHORTEST_SECONDS: Final = 5.0
"""Of a turn, whatever is recorded in it; twice as long after each end of a worker that was shared in spite of it."""
LONGEST_SHORTEST_SECONDS: Final = 600.0
LONGEST_SECONDS: Final = 60.0
"""Of a turn whose step takes longer: the others go on too then."""
PATIENCE_SECONDS: Final = 60.0
"""For which one waits until nothing else runs inside; then it goes on beside them."""
OFFERED_SECONDS: Final = 2.0
"""A turn is over without a word: so often it is asked for, at most."""
FORGOTTEN_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Alone:
    task_id: uuid.UUID
    begun: float
    shortest: float

    @property
    def longest(self) -> float:
        return max(LONGEST_SECONDS, self.shortest)


class Suspects:
    """Of one worker; lives on the agents' event loop.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, writer: TaskWriter, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._clock = clock
        self._inside = set[uuid.UUID]()
        self._turn: _Alone | None = None
        self._asked: dict[uuid.UUID, float] = {}

    def has(self, task_id: uuid.UUID) -> bool:
        """Whether it is this task's turn."""
        return self._turn is not None and self._turn.task_id == task_id

    async def check(self, applicant: Applicant) -> bool:
        """Whether it is to run alone, as told to `enter`; there is no waiting between the two.

        Raises:
            HandedBack: another one does, or others have to end first.
            Unavailable: PostgreSQL is away.
        """
        while (turn := self._turn) is not None and turn.task_id != applicant.task_id:
            if not await self._is_over(turn):
                raise HandedBack("its turn: workers died of tasks that ran beside it", OFFERED_SECONDS)
            # Before anybody else begins: what ends the worker from then on is nobody's for certain.
            await admissions.end_turn(self._writer, turn.task_id)
            if self._turn is turn:
                self._turn = None
        return applicant.suspicion >= d.MAX_DEATHS - 1 and self._is_alone(applicant.task_id)

    def enter(self, applicant: Applicant, *, alone: bool) -> None:
        """It runs inside from here on."""
        self._inside.add(applicant.task_id)
        if alone:
            shared = max(0, applicant.ends - (d.MAX_DEATHS - 1))
            shortest = min(SHORTEST_SECONDS * 2.0 ** min(shared, 20), LONGEST_SHORTEST_SECONDS)
            self._turn = _Alone(applicant.task_id, self._clock(), shortest)

    def leave(self, task_id: uuid.UUID) -> None:
        """It runs no more."""
        self._inside.discard(task_id)
        if self.has(task_id):
            self._turn = None

    def _is_alone(self, task_id: uuid.UUID) -> bool:
        if not self._inside - {task_id}:
            self._asked.pop(task_id, None)
            return True
        now = self._clock()
        self._asked = {each: asked for each, asked in self._asked.items() if asked > now - FORGOTTEN_SECONDS}
        if now - self._asked.setdefault(task_id, now) < PATIENCE_SECONDS:
            raise HandedBack("its turn: others run in the worker, and it is to run alone", OFFERED_SECONDS)
        del self._asked[task_id]
        return False

    async def _is_over(self, turn: _Alone) -> bool:
        taken = self._clock() - turn.begun
        if taken < turn.shortest or taken >= turn.longest:
            return taken >= turn.longest
        found = await admissions.find(self._writer, turn.task_id)
        return found is None or found.deaths < d.MAX_DEATHS - 1
