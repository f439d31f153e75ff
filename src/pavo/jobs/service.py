"""What people do with jobs that are there: cancel, queue again, have a review answered, adopt, look at the workflow."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, InvalidInput, NotFound, TooLarge, WrongStage
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.attempt import contracts as a
from pavo.jobs.attempt.recorder import Look
from pavo.jobs.commands import JobCommands, WorkflowStatus
from pavo.jobs.late import repository as late_work
from pavo.jobs.late.domain import DECLINED, KEPT, OWED
from pavo.jobs.removal import repository as removal
from pavo.jobs.removal import rounds
from pavo.jobs.sql import attempts, jobs, requeue, results
from pavo.jobs.sql.models import JobAttemptRow, JobRow
from pavo.kit.sql import Database
from pavo.temporal.failures import NoSuchRun
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

MAX_FEEDBACK: Final = 50_000
"""Characters of all reviews that a job is to answer at once."""


@dataclass(frozen=True, slots=True)
class JobWorkflow:
    """A job's newest attempt, as its row and as Temporal knows it."""

    job_id: uuid.UUID
    stage: str
    epoch: int
    attempts: int
    """Begun since a person queued it."""
    max_attempts: int
    error: dict[str, Any] | None
    """Of the last failure: type, cause, remedy."""
    workflow: WorkflowStatus | None
    """None: no attempt was begun, or Temporal knows the workflow no more."""


class JobService:
    """Whose a job is, is seen here: unknown and foreign ones are the same.

    Args:
        look: has the monitor of an organisation's queue look; None: its schedule does, a little later.
    """

    def __init__(
        self, database: Database, publisher: Publisher, commands: JobCommands, look: Look | None = None
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._commands = commands
        self._look = look

    async def get(self, who: Identity, job_id: uuid.UUID) -> JobRow:
        """One job.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            return _theirs(who, await jobs.find(session, job_id), job_id)

    async def stages(self, job_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """In which stages these jobs are; those that are gone are left out."""
        async with self._database.reading() as session:
            return await jobs.stages(session, job_ids)

    async def cancel(self, who: Identity, job_id: uuid.UUID) -> a.CancelReceipt:
        """Cancel a job: one that waits at once, one in progress with all that runs for it at its agent.

        Cancelling a job that is cancelled answers the same once more.

        Raises:
            NotFound: unknown, or not theirs.
            WrongStage: it is over.
            OutcomeUnknown: no worker took it in time; it is cancelled once one is there.
        """
        while True:
            job, recorded = await self._ask_to_cancel(who, job_id)
            self._publisher.publish(recorded)
            if job.stage not in d.IN_PROGRESS:
                await self._tell(job.organisation_id)
                return a.CancelReceipt(d.CANCELLED, reached=True)
            if (receipt := await self._cancel_attempt(job)) is not None:
                return receipt

    async def _ask_to_cancel(self, who: Identity, job_id: uuid.UUID) -> tuple[JobRow, list[Event]]:
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            if job.stage in (d.DONE, d.FAILED):
                raise WrongStage(f"The job is {job.stage}.", field="stage", remedy="There is nothing to cancel.")
            if job.stage == d.CANCELLED:
                return job, []
            ask = requeue.cancel_queued if job.stage == d.QUEUED else requeue.ask_to_cancel
            return job, [*await ask(session, job, who.user_id, who.email)]

    async def _cancel_attempt(self, job: JobRow) -> a.CancelReceipt | None:
        """What cancelling the attempt that was under way reached; None: it had just ended, and the job stands anew."""
        workflow_id = d.workflow_id(job.id, job.epoch)

        async def signal() -> None:
            await self._commands.signal_cancel(workflow_id)

        try:
            receipt = await self._commands.cancel(workflow_id, not_taken=signal)
        except NoSuchRun:  # it has not begun yet, or it is lost
            async with self._database.transaction() as session:
                ended = await attempts.end_attempt(session, job.id, job.epoch, None, c.ENDED_CANCELLED, cleaned=False)
            self._publisher.publish(ended.events)
            if not ended.wrote:
                return None
            await self._tell(job.organisation_id)
            return a.CancelReceipt(ended.stage, reached=False, cleaned=False)
        return receipt if receipt.stage in d.OVER else None

    async def requeue(self, who: Identity, job_id: uuid.UUID) -> JobRow:
        """Queue a job again that failed or was cancelled, with all its attempts before it; one that waits stays.

        Raises:
            NotFound: unknown, or not theirs.
            WrongStage: it is done, or an attempt is under way.
        """
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            if job.stage == d.QUEUED:
                return job
            if job.stage not in (d.FAILED, d.CANCELLED):
                remedy = "Ask for rework." if job.stage == d.DONE else "Cancel it first."
                raise WrongStage(f"The job is {job.stage}.", field="stage", remedy=remedy)
            recorded = await requeue.back(session, job, job.kind, who.email, feedback=job.feedback)
        return await self._changed(job, recorded)

    async def rework(self, who: Identity, job_id: uuid.UUID, body: str) -> JobRow:
        """Put a job that is over in front of the backlog, to answer a review on the same branch.

        One that waits is given the review as well.

        Args:
            body: what the review says.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput, TooLarge: nothing is said, or too much.
            WrongStage: an attempt is under way.
        """
        if not body.strip():
            raise InvalidInput("The review says nothing.", field="body", remedy="Say what is to be changed.")
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            if job.stage in d.IN_PROGRESS:
                raise WrongStage(f"The job is {job.stage}.", field="stage", remedy="Wait until it is over.")
            waits = job.stage == d.QUEUED and bool(job.feedback)
            feedback = f"{job.feedback}\n\n{body}" if waits else body
            if len(feedback) > MAX_FEEDBACK:
                detail = f"All reviews together have more than {MAX_FEEDBACK:,} characters."
                raise TooLarge(detail, field="body", remedy="Say it shorter.")
            told = events.message(body, who.email)
            if job.stage == d.QUEUED:
                recorded = await requeue.more_feedback(session, job, feedback, told)
            else:
                recorded = await requeue.back(session, job, d.REWORK, who.email, feedback=feedback, first=[told])
        return await self._changed(job, recorded)

    async def adopt(self, who: Identity, job_id: uuid.UUID, epoch: int) -> JobRow:
        """Take over what a lost attempt has done after all.

        What it published is the job's, which is DONE with it. What it left on its fenced branch the next attempt takes
        over, in front of the backlog: it moves the job's branch there, verifies and publishes it. Reviews that came
        after the lost attempt was begun are answered on top of it. Adopting it again changes nothing, unless the job
        failed or was cancelled since.

        Raises:
            NotFound: the job or the attempt is unknown, or not theirs.
            WrongStage: another attempt is under way.
            Conflict: there is nothing to adopt, or not yet.
        """
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            attempt = await _attempt(session, job_id, epoch)
            if attempt.adopted_at is not None and job.stage not in (d.FAILED, d.CANCELLED):
                return job
            if job.stage in d.IN_PROGRESS:
                raise WrongStage(
                    f"The job is {job.stage}.", field="stage", remedy="Cancel the attempt under way first."
                )
            place = await results.published(session, job_id, epoch)
            if place is not None and place.commit and attempt.late_work != KEPT:
                outcome = c.PUBLISHED if place.url else c.PUSHED
                recorded = await requeue.adopt_published(session, job, epoch, place, outcome, who.email)
            elif attempt.late_work == KEPT:
                recorded = await requeue.adopt_kept(session, job, epoch, who.email)
            else:
                raise _nothing_to_adopt(attempt)
        return await self._changed(job, recorded)

    async def decline(self, who: Identity, job_id: uuid.UUID, epoch: int) -> JobRow:
        """Give up what a lost attempt has changed and its agent has not pushed yet: it is removed there. What is on a
        branch stays. Declining it again changes nothing.

        Raises:
            NotFound: the job or the attempt is unknown, or not theirs.
            Conflict: its agent owes nothing.
        """
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            attempt = await _attempt(session, job_id, epoch)
            if attempt.late_work not in (OWED, DECLINED):
                detail = f"No agent keeps changes of attempt {epoch} that it has not pushed."
                raise Conflict(detail, field="epoch", remedy="Nothing has to be declined; its branch can be deleted.")
            recorded = await late_work.decline(session, job_id, epoch, who.email)
        return await self._changed(job, recorded)

    async def remove(self, who: Identity, job_id: uuid.UUID) -> None:
        """Remove a job that is over, with its log, its attempts and its files; what follows it ends.

        What an agent has yet to clean up, it cleans up.

        Raises:
            NotFound: unknown, removed, or not theirs.
            WrongStage: it is not over.
        """
        async with self._database.transaction() as session:
            job = _theirs(who, await attempts.locked(session, job_id), job_id)
            if job.stage not in d.OVER:
                raise WrongStage(f"The job is {job.stage}.", field="stage", remedy="Cancel it first.")
            recorded = await removal.bury(session, job_id)
        self._publisher.publish(recorded)
        await rounds.begin(self._database, job_id)

    async def workflow_status(self, who: Identity, job_id: uuid.UUID) -> JobWorkflow:
        """What Temporal knows of the newest attempt: status, run, what is pending, attempts, last failure.

        Raises:
            NotFound: unknown, or not theirs.
            Unavailable: Temporal is away.
        """
        job = await self.get(who, job_id)
        found: WorkflowStatus | None = None
        if job.epoch > 0:
            try:
                found = await self._commands.status(d.workflow_id(job.id, job.epoch))
            except NoSuchRun:
                found = None
        return JobWorkflow(job.id, job.stage, job.epoch, job.attempts, job.max_attempts, job.error, found)

    async def _changed(self, job: JobRow, recorded: Any) -> JobRow:
        self._publisher.publish(recorded)
        await self._tell(job.organisation_id)
        async with self._database.reading() as session:
            return await jobs.find(session, job.id) or job

    async def _tell(self, organisation_id: uuid.UUID) -> None:
        if self._look is not None:
            await self._look(organisation_id)


async def _attempt(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> JobAttemptRow:
    found = await requeue.attempt(session, job_id, epoch)
    if found is None:
        raise NotFound(f"The job has no attempt {epoch}.", field="epoch", remedy="Look at its attempts.")
    return found


def _nothing_to_adopt(attempt: JobAttemptRow) -> Conflict:
    if attempt.late_work == OWED:
        why = f" The last try: {attempt.late_reason}" if attempt.late_reason else ""
        detail = f"Its agent has not pushed what attempt {attempt.epoch} has changed.{why}"
        remedy = f"Have the agent {attempt.agent} connect: it pushes that by itself; then adopt it."
        return Conflict(detail, field="epoch", remedy=remedy)
    detail = f"Attempt {attempt.epoch} has left nothing that could be adopted."
    return Conflict(detail, field="epoch", remedy="Queue the job again.")


def _theirs(who: Identity, job: JobRow | None, job_id: uuid.UUID) -> JobRow:
    if job is None or job.organisation_id not in who.organisation_ids:
        raise NotFound(f"There is no job {job_id}.", field="job_id", remedy="Look at your organisation's jobs.")
    return job
