"""Use cases of an organisation's queue. Who may call which is decided by the endpoints."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pavo.errors import InvalidInput, NotFound, WrongStage
from pavo.jobs import domain as d
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.queue.reasons import QueueState, Reason, reason_of
from pavo.jobs.sql import queue as sql
from pavo.jobs.sql import queue_view as view
from pavo.jobs.sql.queue import MovedTo, NewJob
from pavo.jobs.sql.queue_view import QueuedJob, RunningJob
from pavo.kit.sql import Database
from pavo.timeline.publish import Publisher
from pavo.usage.domain import Spending
from pavo.usage.runs import spending

PAGE: Final = 100
MAX_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits, where, and why."""

    position: int
    """From 1."""
    job: QueuedJob
    why: Reason


@dataclass(frozen=True, slots=True)
class Queue:
    """An organisation's queue as people see it."""

    paused_at: datetime | None
    at_once: int
    running: Sequence[RunningJob]
    queued: Sequence[Waiting]
    """One page."""
    counts: Mapping[str, int]
    """Of every stage."""
    agents: int
    connected: int
    spending: Mapping[uuid.UUID, Spending]
    """Of the jobs that are shown; of those that neither spent nor have a budget nothing is there."""


class QueueService:
    """The queue of an organisation.

    Args:
        commands: has its monitor look.
    """

    def __init__(self, database: Database, publisher: Publisher, commands: QueueCommands) -> None:
        self._database = database
        self._publisher = publisher
        self._commands = commands

    async def submit(self, new: NewJob, by: str) -> uuid.UUID:
        """Queue a new job, whose values were checked; its id. A free agent gets it at once.

        Args:
            by: address of who did.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.transaction() as session:
            recorded = await sql.enqueue(session, new, by)
        self._publisher.publish(recorded)
        await self._commands.look(new.organisation_id)
        return new.id

    async def show(self, organisation_id: uuid.UUID, after: int = 0, limit: int = PAGE) -> Queue:
        """What is in progress, what waits in which order and why, and what is counted.

        Args:
            after: the position behind which the page begins.
            limit: jobs that wait on it, at most 500.

        Raises:
            InvalidInput: there is no such page.
        """
        _check_number("after", after, 0, 2**31)
        _check_number("limit", limit, 1, MAX_PAGE)
        async with self._database.reading() as session:
            settled = await sql.settled(session, organisation_id)
            running = await view.running(session, organisation_id)
            queued = await view.queued(session, organisation_id, after, limit)
            counts = await view.counts(session, organisation_id)
            places = await view.places(session, organisation_id)
            spent = await spending(session, [each.id for each in (*running, *queued)])
        state = QueueState(
            settled.paused_at is not None, sum(counts.get(stage, 0) for stage in d.IN_PROGRESS), settled.at_once, places
        )
        waiting = [
            Waiting(position, job, reason_of(state, job.labels, job.program))
            for position, job in enumerate(queued, after + 1)
        ]
        found = {stage: counts.get(stage, 0) for stage in d.STAGES}
        connected = sum(each.connected for each in places)
        return Queue(settled.paused_at, settled.at_once, running, waiting, found, len(places), connected, spent)

    async def pause(self, organisation_id: uuid.UUID, by: uuid.UUID | None) -> None:
        """Begin no further job; those in progress go on. Twice is once."""
        async with self._database.transaction() as session:
            await sql.pause(session, organisation_id, by)

    async def resume(self, organisation_id: uuid.UUID) -> None:
        """Begin jobs again, at once. Twice is once."""
        async with self._database.transaction() as session:
            await sql.resume(session, organisation_id)
        await self._commands.look(organisation_id)

    async def limit(self, organisation_id: uuid.UUID, at_once: int) -> None:
        """Have so many jobs in progress at once; those that are go on.

        Raises:
            InvalidInput: not from 1 to 1,000.
        """
        _check_number("at_once", at_once, 1, d.MAX_AT_ONCE)
        async with self._database.transaction() as session:
            await sql.limit(session, organisation_id, at_once)
        await self._commands.look(organisation_id)

    async def move(
        self,
        organisation_id: uuid.UUID,
        job_id: uuid.UUID,
        by: str,
        *,
        position: int | None = None,
        priority: int | None = None,
    ) -> MovedTo:
        """Give a job that waits another position or another priority; the others keep their order.

        Args:
            position: from 1; rework stays before backlog, so the nearest that there is.
            priority: 0 to 100; its place is then the one that it would have had with it from the beginning.

        Raises:
            InvalidInput: neither or both are given, or not within bounds.
            NotFound: the organisation has no such job.
            WrongStage: it does not wait.
        """
        _check_move(position, priority)
        async with self._database.transaction() as session:
            stage = await sql.stage_of(session, organisation_id, job_id)
            if stage is None:
                raise NotFound(f"There is no job {job_id}.", field="job_id", remedy="Look at your organisation's jobs.")
            await sql.lock_queue(session, organisation_id)
            job = await sql.lock_queued(session, job_id)
            if job is None:
                raise WrongStage(
                    f"The job does not wait any more: it was {stage} a moment ago.",
                    field="stage",
                    remedy="Only jobs that wait have a place in the queue.",
                )
            if position is not None:
                moved = await sql.move(session, job, position, by)
            else:
                moved = await sql.prioritise(session, job, priority or 0, by)
        self._publisher.publish(moved.events)
        await self._commands.look(organisation_id)
        return moved


def _check_move(position: int | None, priority: int | None) -> None:
    if (position is None) == (priority is None):
        raise InvalidInput(
            "Say either a position or a priority.", field="position", remedy="Give exactly one of the two."
        )
    if position is not None:
        _check_number("position", position, 1, 2**31)
    if priority is not None:
        _check_number("priority", priority, 0, 100)


def _check_number(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{field} is {value}.", field=field, remedy=f"Say a number from {least} to {most}.")
