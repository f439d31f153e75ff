"""In the place of the workflow of a job: notes that it was begun, and ends as it is told."""

import uuid
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from sqlalchemy import update

    from pavo.jobs import contracts as c
    from pavo.jobs.sql.attempts import end_attempt, holds, locked
    from pavo.jobs.sql.models import JobRow
    from pavo.kit.sql import Database

SECONDS: Final = timedelta(seconds=10)


@workflow.defn(name=c.WORKFLOW_TYPE)
class StandIn:
    """Until somebody says how it ends."""

    def __init__(self) -> None:
        self._how = ""

    @workflow.run
    async def run(self, request: c.JobInput) -> str:
        """How it ended; `nothing` where the attempt did not hold the job any more."""
        if not await workflow.execute_activity("stand_in_begins", request, start_to_close_timeout=SECONDS):
            return "nothing"
        await workflow.wait_condition(lambda: bool(self._how))
        ending: Any = workflow.execute_activity(
            "stand_in_ends", args=[request, self._how], start_to_close_timeout=SECONDS
        )
        await ending
        return self._how

    @workflow.signal
    def finish(self, how: str) -> None:
        """End so."""
        self._how = how

    @workflow.signal(name=c.SIGNAL_LEASE_LOST)
    def lease_lost(self) -> None:
        """Nobody keeps the attempt up."""
        self._how = c.ENDED_LOST


class StandInWrites:
    """Its short writes.

    Args:
        look: the queue is told when an attempt ends.
    """

    def __init__(self, database: Database, look: Any) -> None:
        self._database = database
        self._look = look

    @activity.defn(name="stand_in_begins")
    async def begin(self, request: c.JobInput) -> bool:
        """As the workflow of a job: it writes its run into the row."""
        job_id = uuid.UUID(request.job_id)
        async with self._database.transaction() as session:
            job = await locked(session, job_id)
            if not holds(job, request.epoch):
                return False
            changes = {"run_id": activity.info().workflow_run_id, "stage": "EXECUTING"}
            await session.execute(update(JobRow).where(JobRow.id == job_id).values(**changes))
        return True

    @activity.defn(name="stand_in_ends")
    async def end(self, request: c.JobInput, how: str) -> None:
        """End the attempt, and tell its queue."""
        async with self._database.transaction() as session:
            ended = await end_attempt(session, uuid.UUID(request.job_id), request.epoch, None, how, "X", "Y.", "Z.")
        await self._look(ended.organisation_id)
