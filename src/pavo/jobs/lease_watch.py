"""Attempts that nobody keeps up, or that get nowhere, end: by their workflow, or in its place where it is gone. Those
that were claimed and have not begun, for their monitor died between, are begun by another one."""

import asyncio
import logging
from typing import Final

from temporalio.client import Client

from pavo.errors import PavoError
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.queue.activities import BEGINS_WITHIN_SECONDS
from pavo.jobs.queue.commands import QueueCommands
from pavo.jobs.sql import waiting
from pavo.jobs.sql.attempts import end_attempt
from pavo.jobs.sql.waiting import LostAttempt
from pavo.kit.sql import Database
from pavo.runs.workflow_calls import RPC_TIMEOUT
from pavo.temporal.failures import NoSuchRun, translated
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 60.0
"""A workflow that was told is told again after so long: each signal is kept in its history."""
AT_ONCE: Final = 16
LEASE_EXPIRED: Final = "LeaseExpired"
STUCK: Final = "Stuck"


class LeaseWatch:
    """In every worker; several do no harm, for an attempt ends once.

    Args:
        stuck_seconds: without a log, stage or result.
    """

    def __init__(
        self, database: Database, temporal: Client, publisher: Publisher, queues: QueueCommands, stuck_seconds: float
    ) -> None:
        self._database = database
        self._temporal = temporal
        self._publisher = publisher
        self._queues = queues
        self._stuck_seconds = stuck_seconds
        self._told: dict[tuple[object, int], float] = {}
        """When the workflow of an attempt is told again."""

    async def run(self) -> None:
        """Without an end: a round every five seconds."""
        while True:
            try:
                await self.look()
            except PavoError as error:
                logger.warning("The leases of jobs are looked at later: %s", error)
            except Exception:
                logger.exception("The leases of jobs are looked at later")
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> int:
        """One round; how many attempts are lost or stuck.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        for organisation_id in await waiting.organisations_not_begun(self._database, BEGINS_WITHIN_SECONDS):
            await self._queues.look(organisation_id)
        found = await waiting.lost_attempts(self._database, self._stuck_seconds)
        now = asyncio.get_running_loop().time()
        self._told = {attempt: until for attempt, until in self._told.items() if until > now}
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(lost: LostAttempt) -> None:
            async with turns:
                await self._end(lost)

        due = [each for each in found if (each.job_id, each.epoch) not in self._told]
        # All of them are waited for: what fails for one must not go on beside the next round.
        failed = [each for each in await asyncio.gather(*map(one, due), return_exceptions=True) if each is not None]
        if failed:
            raise failed[0]
        return len(found)

    async def _end(self, lost: LostAttempt) -> None:
        """Its workflow is told; where that does not run, the attempt is ended here."""
        try:
            with translated():
                handle = self._temporal.get_workflow_handle(d.workflow_id(lost.job_id, lost.epoch))
                await handle.signal(c.SIGNAL_LEASE_LOST, rpc_timeout=RPC_TIMEOUT)
            self._told[lost.job_id, lost.epoch] = asyncio.get_running_loop().time() + AGAIN_SECONDS
        except NoSuchRun:
            await self._end_here(lost)

    async def _end_here(self, lost: LostAttempt) -> None:
        error, cause, remedy = self._why(lost)
        why = (c.ENDED_LOST, error, cause, remedy)
        async with self._database.transaction() as session:
            ended = await end_attempt(session, lost.job_id, lost.epoch, None, *why, cleaned=False)
        self._publisher.publish(ended.events)
        if ended.wrote:
            logger.warning("Attempt %s of job %s is lost: %s", lost.epoch, lost.job_id, cause)
            await self._queues.look(ended.organisation_id)

    def _why(self, lost: LostAttempt) -> tuple[str, str, str]:
        """Type, cause and remedy."""
        agent = f"agent {lost.agent}" if lost.agent else "its agent, which was removed"
        if lost.stage == d.CLAIMED:
            return LEASE_EXPIRED, f"The job was given to {agent}, and nothing began it.", "Look whether a worker runs."
        if lost.expired:
            cause = f"Nothing was heard of {agent} for {d.LEASE_SECONDS} seconds."
            return LEASE_EXPIRED, cause, "Look whether the agent's machine runs, and reaches its gateway."
        minutes = round(self._stuck_seconds / 60)
        cause = f"No log line, stage or result came of {agent} for {minutes} minutes."
        return STUCK, cause, "Look at the job's log: what it did last has perhaps no end."
