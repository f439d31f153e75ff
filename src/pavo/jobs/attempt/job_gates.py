"""The owner of the gates over the plans of jobs."""

import uuid

from pavo.accounts.domain import Identity
from pavo.errors import NotFound, WrongStage
from pavo.gates.domain import Gate
from pavo.jobs.commands import JobCommands
from pavo.jobs.sql import jobs
from pavo.kit.sql import Database
from pavo.temporal.failures import NoSuchRun


class JobGates:
    """See `gates.service.GateOwner`."""

    def __init__(self, database: Database, commands: JobCommands) -> None:
        self._database = database
        self._commands = commands

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        """Have the job's workflow close the gate."""
        async with self._database.reading() as session:
            job = await jobs.find(session, gate.subject_id)
        if job is None or job.organisation_id not in who.organisation_ids:
            raise NotFound(f"There is no job {gate.subject_id}.", field="job_id")
        nothing = WrongStage(
            f"Nothing waits for this answer: the job is {job.stage}.",
            field="stage",
            remedy="Wait until its next attempt asks.",
        )
        if job.workflow_id is None:
            raise nothing
        try:
            await self._commands.answer_gate(job.workflow_id, gate.id, answer_id)
        except NoSuchRun as error:
            raise nothing from error
