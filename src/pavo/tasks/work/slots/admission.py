"""Whether this worker takes an attempt now. One that it does not take is handed back: Temporal offers it again, here or
to another worker, and what it waits for is told.
"""

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from pavo.agents.deaths import died_inside, is_crash
from pavo.agents.hosts.agent_loop import EXIT_STALLED
from pavo.agents.importing import Imports
from pavo.agents.registry import AgentCard, AgentRegistry
from pavo.errors import InvalidInput, Unavailable
from pavo.runs.worker_ends import end_of
from pavo.tasks import events
from pavo.tasks.sql import admissions
from pavo.tasks.sql.admissions import Applicant
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.failures import failure_of
from pavo.tasks.work.slots.handing_back import HandedBack
from pavo.tasks.work.slots.places import Places
from pavo.tasks.work.slots.suspects import Suspects
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

LONGEST_SECONDS: Final = 30.0
"""What it waits for usually comes with a worker, which wakes it."""
IMPORT_SECONDS: Final = 10.0
"""For the import of an agent's code before its tasks are handed back; as long as one may block an event loop unseen."""


class Admission:
    """Judges the attempts of one process; lives on the agents' event loop.

    Args:
        on_free: told the workflow of the task that waits longest for the place that was just given back.
        in_all: places of all attempts of the process, where it has only so many; each gets one of those too.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        writer: TaskWriter,
        publisher: Publisher,
        registry: AgentRegistry,
        on_free: Callable[[str], object] = lambda _workflow_id: None,
        clock: Callable[[], float] = time.monotonic,
        in_all: Places | None = None,
    ) -> None:
        self._writer = writer
        self._publisher = publisher
        self._registry = registry
        self._on_free = on_free
        self._in_all = in_all
        self._imports = Imports(registry)
        self._suspects = Suspects(writer, clock)

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
            if applicant.suspicion:
                await admissions.note_worker(self._writer, task_id, alone=self._suspects.has(task_id))
            if applicant.waiting is not None:
                await self._tell(applicant, None)
            yield
        finally:
            self._suspects.leave(applicant.task_id)
            await self._give(applicant, self._all(places))

    def _all(self, places: Places) -> Sequence[Places]:
        return [places] if self._in_all is None else [self._in_all, places]

    async def _give(self, applicant: Applicant, taken: Sequence[Places]) -> None:
        woken = [(each, each.give(applicant.group)) for each in taken]
        for places, next_one in woken:
            await self._wake(applicant, places, next_one)

    async def _wake(self, applicant: Applicant, places: Places, next_one: uuid.UUID | None) -> None:
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
        lost = applicant.in_flight if after_loss is None else after_loss
        if inside and lost:
            applicant = await self._count_crash(applicant)
        if not inside or applicant.is_given_up:
            await self._take(applicant, places)
            return
        alone = await self._suspects.check(applicant)
        await self._take(applicant, places)
        self._suspects.enter(applicant, alone=alone)

    async def _take(self, applicant: Applicant, places: Places) -> None:
        """Where there is one of each, all is done before anything else is."""
        taken = list[Places]()
        for each in self._all(places):
            if not each.take(applicant.group, applicant.task_id):
                await self._give(applicant, taken)
                raise HandedBack(each.wanting, each.pause())
            taken.append(each)

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

    async def _count_crash(self, applicant: Applicant) -> Applicant:
        """The same, with what counts against it if the worker of the attempt before was ended by code inside of it.

        That counts against each whose agent ran there: one of them did it, and which one nobody knows, unless it ran
        alone.
        """
        worker = applicant.worker
        end = end_of(worker) if worker is not None and worker != self._writer.holder else None
        if end is None or end.code == EXIT_STALLED or not is_crash(end.code, asked=end.asked):
            return applicant
        logger.warning("Task %s ran in %s, which %s", applicant.task_id, end.part, end.words)
        alone = applicant.alone_in == worker
        told = failure_of(died_inside(end.code, alone=alone)).told()
        counted = await admissions.count_end(self._writer.database, applicant.task_id, "", told, certain=alone)
        return replace(applicant, deaths=counted.deaths, ends=counted.ends) if counted is not None else applicant

    async def _tell(self, applicant: Applicant, what: str | None) -> None:
        """Show what the task waits for, once; None: nothing any more."""
        new = [events.waiting(what)] if what is not None else []
        self._publisher.publish(await admissions.tell(self._writer, applicant.task_id, what, new))
