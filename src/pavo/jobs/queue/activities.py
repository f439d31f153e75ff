"""The short writes of a queue's monitor, and the round of the second line."""

import asyncio
import random
import uuid
from typing import Final

from temporalio import activity

from pavo.jobs.contracts import Claimed, QueueActivities, TakeJobs, Taken
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.queue.contracts import QueueLineActivities
from pavo.jobs.sql import claims, waiting
from pavo.jobs.sql.claims import CONTENDED, Claim
from pavo.kit.sql import Database
from pavo.timeline.publish import Publisher

TRIES: Final = 20
"""Claims that are tried while others hold what could be had."""
PAUSE_SECONDS: Final = 0.01
BEGINS_WITHIN_SECONDS: Final = 5.0
"""A workflow that has not written by then is started again, which changes nothing where it was started."""


class QueueRecorder(QueueActivities, QueueLineActivities):
    """Claims, each a transaction of its own."""

    def __init__(self, database: Database, publisher: Publisher, commands: QueueCommands) -> None:
        self._database = database
        self._publisher = publisher
        self._commands = commands

    @activity.defn(name="take_jobs")
    async def take_jobs(self, request: TakeJobs) -> Taken:
        """Claim until nothing can be given, or the limit is reached: for the organisation's own agents, then for those
        that serve all.

        What an earlier try claimed, whose answer was lost, is among the answers: its lease would run out else.
        """
        own = uuid.UUID(request.organisation_id) if request.organisation_id is not None else None
        after = BEGINS_WITHIN_SECONDS if activity.info().attempt == 1 else 0.0
        found = await waiting.not_begun(self._database, own, after, request.limit)
        jobs = [Claimed(str(job_id), epoch) for job_id, epoch in found]
        for whose in dict.fromkeys((own, None)):
            while len(jobs) < request.limit:
                claim = await self._take(whose)
                if claim is None:
                    break
                if isinstance(claim, str):
                    return Taken(jobs, more=True)
                jobs.append(Claimed(str(claim.job_id), claim.epoch))
            if len(jobs) > len(found):  # those begin before anything else is looked at
                return Taken(jobs, more=True)
        await self._commands.jobs_wait()
        return Taken(jobs)

    @activity.defn(name="look_at_queues")
    async def look_at_queues(self) -> int:
        """Tell the monitors of queues that have something to give; the line rests where there is nothing to give.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        told = await self._commands.tell_all(await waiting.ready(self._database))
        if not told:
            await self._commands.rest_if_idle()
        return told

    async def _take(self, organisation_id: uuid.UUID | None) -> Claim | str | None:
        for _ in range(TRIES):
            found = await claims.take(self._database.kept, organisation_id)
            if isinstance(found, Claim):
                self._publisher.publish(found.recorded)
            if found != CONTENDED:
                return found
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
        return CONTENDED
