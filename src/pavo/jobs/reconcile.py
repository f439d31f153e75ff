"""Rows of jobs for the second line: an attempt whose workflow does not run is over, and its job goes back."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.removal import rounds
from pavo.jobs.sql.attempts import end_attempt
from pavo.jobs.sql.models import JobRow
from pavo.kit.sql import Database
from pavo.runs.fence import Fence
from pavo.runs.kinds import RunningRow
from pavo.timeline.publish import Publisher

PAGE: Final = 500
WORKFLOW_LOST: Final = "WorkflowLost"


class JobRows:
    """Jobs in progress, as the second line reads and explains them: see `runs.kinds.Rows`.

    Args:
        log_days: so long the log of a job is kept after its end.
        put_right: what else a round mends: the schedules by which agents are pinged.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        queues: QueueCommands,
        log_days: float,
        put_right: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._queues = queues
        self._log_days = log_days
        self._put_right = put_right

    async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        """Jobs that an attempt holds and that were not written for this long."""
        last: uuid.UUID | None = None
        while True:
            old = (JobRow.stage.in_(d.IN_PROGRESS), JobRow.updated_at < func.pavo_now() - age)
            query = select(JobRow).where(*old, JobRow.deleted_at.is_(None))
            query = query.where(JobRow.id > last) if last is not None else query
            async with self._database.reading() as session:
                page = (await session.scalars(query.order_by(JobRow.id).limit(PAGE))).all()
            for job in page:
                following = Fence(job.run_id or "", job.epoch, _transition(job) + 1)
                yield RunningRow(job.id, d.workflow_id(job.id, job.epoch), job.stage, following)
            if len(page) < PAGE:
                return
            last = page[-1].id

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        """Put the job back into its queue, or show FAILED where it was tried often enough."""
        why = (c.ENDED_LOST, WORKFLOW_LOST, cause, remedy)
        async with self._database.transaction() as session:
            ended = await end_attempt(session, row.subject_id, row.next.generation, row.next, *why, cleaned=False)
        self._publisher.publish(ended.events)
        if ended.wrote:
            await self._queues.look(ended.organisation_id)
        return ended.wrote

    async def go_on(self) -> None:
        """Jobs wait, and nobody was told: the second line of their queues goes on. What was deleted, or
        is kept for a time that is over, is removed."""
        await self._queues.jobs_wait()
        await rounds.go_on(self._database)
        await rounds.forget_old(self._database, self._log_days)
        if self._put_right is not None:
            await self._put_right()


def _transition(job: JobRow) -> int:
    return job.transition if job.generation == job.epoch else 0
