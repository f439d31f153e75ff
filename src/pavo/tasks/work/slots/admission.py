"""Whether this worker takes an attempt now. One that it does not take is handed back: Temporal offers it again, here or
to another worker, and what it waits for is told.
"""

import logging
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from pavo.agents.deaths import died_with, is_crash
from pavo.agents.hosts.agent_loop import EXIT_STALLED
from pavo.agents.importing import Imports
from pavo.agents.registry import AgentCard, AgentRegistry
from pavo.errors import InvalidInput, Unavailable
from pavo.observe import metrics
from pavo.runs.worker_ends import end_of
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import admissions
from pavo.tasks.sql.admissions import Applicant, Counted
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.failures import failure_of
from pavo.tasks.work.slots.places import Places
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

FIRST_SECONDS: Final = 0.5
"""Until an attempt is offered again after it was handed back for the first time; each time twice as long."""
LONGEST_SECONDS: Final = 30.0
"""What it waits for usually comes with a worker, which wakes it."""
IMPORT_SECONDS: Final = 10.0
"""For the import of an agent's code before its tasks are handed back; as long as one may block an event loop unseen."""
LONGEST_TURN_SECONDS: Final = 2.0
"""For its turn on a worker, which nothing announces."""


class HandedBack(Exception):
    """The worker does not take the attempt; nothing was done.

    Args:
        waits_for: for people.
        longest: seconds until it is offered again, at most.
    """

    def __init__(self, waits_for: str, longest: float) -> None:
        super().__init__(waits_for)
        self.waits_for = waits_for
        self.longest = longest

    def seconds(self, times: int) -> float:
        """Until it is offered again, the time with this number (from 1) after another."""
        return min(FIRST_SECONDS * 2.0 ** min(times - 1, 20), self.longest)


class Admission:
    """Judges the attempts of one process; lives on the agents' event loop.

    Args:
        on_free: told the workflow of the task that waits longest for the place that was just given back.
    """

    def __init__(
        self,
        writer: TaskWriter,
        publisher: Publisher,
        registry: AgentRegistry,
        on_free: Callable[[str], object] = lambda _workflow_id: None,
    ) -> None:
        self._writer = writer
        self._publisher = publisher
        self._registry = registry
        self._on_free = on_free
        self._imports = Imports(registry)
        self._suspect: uuid.UUID | None = None

    @asynccontextmanager
    async def admitted(
        self, task_id: uuid.UUID, places: Places, *, after_loss: bool | None = False
    ) -> AsyncGenerator[None]:
        """Hold a place for an attempt.

        Args:
            places: of which it gets one: how many tasks of one agent and organisation may do so at once.
            after_loss: whether the attempt before ended without a word; None where Temporal does not tell, inside a
                workflow task.

        Raises:
            HandedBack: another attempt is to be made later.
            Unavailable: PostgreSQL is away.
        """
        applicant = await admissions.apply(self._writer, task_id)
        if applicant is None:  # deleted: the attempt itself ends with that
            yield
            return
        try:
            await self._judge(applicant, places, after_loss=after_loss)
        except HandedBack as back:
            await self._tell(applicant, back.waits_for)
            raise
        try:
            if applicant.deaths:
                await admissions.note_worker(self._writer, task_id)
            if applicant.waiting is not None:
                await self._tell(applicant, None)
            yield
        finally:
            await self._leave(applicant, places)

    async def _leave(self, applicant: Applicant, places: Places) -> None:
        if self._suspect == applicant.task_id:
            self._suspect = None
        next_one = places.give(applicant.group)
        try:
            while next_one is not None:
                waiting = await admissions.find(self._writer, next_one)
                if waiting is not None and waiting.waiting is not None:
                    self._on_free(waiting.workflow_id)
                    return
                next_one = places.forget(applicant.group, next_one)  # stopped, or another worker has it
        except Unavailable as error:  # it must not hide how the attempt ended
            logger.info("Task %s waits until it is offered again: %s", next_one, error)

    async def _judge(self, applicant: Applicant, places: Places, *, after_loss: bool | None) -> None:
        card = await self._card(applicant)
        inside = card.isolation == "worker"
        counted = applicant.counted
        lost = applicant.in_flight if after_loss is None else after_loss
        if inside and lost:
            counted = await self._count_crash(applicant) or counted
        suspected = inside and counted.ends >= d.MAX_DEATHS - 1 and not counted.too_many
        if suspected:
            await self._check_turn(applicant)
        if not places.take(applicant.group, applicant.task_id):
            what = f"a place: the agent's other {places.noun} have all that it may have"
            raise HandedBack(what, places.pause())
        if suspected:
            self._suspect = applicant.task_id

    async def _card(self, applicant: Applicant) -> AgentCard:
        """The description of its agent, whose import goes on where it takes long: a later attempt finds it."""
        name = applicant.agent_type
        if not await self._imports.within(name, IMPORT_SECONDS):
            logger.warning("The agent %r has not been imported within %g s.", name, IMPORT_SECONDS)
            raise HandedBack(f"a worker with agent {name!r}: importing it here takes long", LONGEST_SECONDS)
        try:
            return self._registry.card(name)
        except InvalidInput as error:
            logger.warning("Task %s is handed back: %s", applicant.task_id, error.detail)
            raise HandedBack(f"a worker with agent {name!r}", LONGEST_SECONDS) from error

    async def _count_crash(self, applicant: Applicant) -> Counted | None:
        """If the worker of the attempt before was ended by code inside of it, that counts against the task.

        Against each whose agent ran there: one of them did it, and which one nobody knows. So each is under suspicion
        until it has recorded a step.
        """
        worker = applicant.worker
        end = end_of(worker) if worker is not None and worker != self._writer.holder else None
        if end is None or end.code == EXIT_STALLED or not is_crash(end.code):
            return None
        logger.warning("Task %s ran in %s, which %s", applicant.task_id, end.part, end.words)
        told = failure_of(died_with(end.code)).told()
        counted = await admissions.count_end(self._writer.database, applicant.task_id, "", told)
        if counted is not None and counted.recorded:
            metrics.NO_PROGRESS.add()
            self._publisher.publish(counted.recorded)
        return counted

    async def _check_turn(self, applicant: Applicant) -> None:
        """Of the tasks that one more worker that ends from inside would quarantine, one runs at a time, until it has
        recorded a step: so the innocent get past theirs."""
        while (other := self._suspect) not in (None, applicant.task_id):
            found = await admissions.find(self._writer, other)
            if other != self._suspect:
                continue  # meanwhile somebody else took its turn
            if found is None or found.counted.ends < d.MAX_DEATHS - 1:
                return
            raise HandedBack("its turn: workers died of tasks that ran beside it", LONGEST_TURN_SECONDS)

    async def _tell(self, applicant: Applicant, what: str | None) -> None:
        """Show what the task waits for, once; None: nothing any more."""
        new = [events.waiting(what)] if what is not None else []
        self._publisher.publish(await admissions.tell(self._writer, applicant.task_id, what, new))
