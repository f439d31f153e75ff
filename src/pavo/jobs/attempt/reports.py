"""The report of an attempt: what was asked, done and verified, what it took, and how it ended; kept with the job."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.artifacts.wiring import Keeping
from pavo.errors import PavoError
from pavo.forges.describing import ChangedFile, Described, Verification, describe, inline
from pavo.jobs import contracts as c
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.attempt.contracts import EndAttempt
from pavo.jobs.attempt.job_files import REPORT, JobFile, JobFiles
from pavo.jobs.event_data import JobError
from pavo.jobs.sql import access, attempts, commands, results
from pavo.jobs.sql.commands import CommandJob
from pavo.jobs.sql.results import Published
from pavo.kit.sql import Database
from pavo.protocol.fleet_pb2 import Executed, Verified
from pavo.timeline.publish import Publisher
from pavo.usage.domain import NANOS, Spending
from pavo.usage.runs import spending

logger = logging.getLogger(__name__)

KEEP_SECONDS: Final = 5.0
"""For a report to be kept: the end of its attempt waits no longer for it."""
_MARKDOWN: Final = "text/markdown"
_ENDED: Final = {
    c.ENDED_DONE: "It is done.",
    c.ENDED_FAILED: "It failed.",
    c.ENDED_CANCELLED: "It was cancelled.",
    c.ENDED_LOST: "It was lost.",
}


class AttemptReports:
    """Writes them.

    Args:
        keeping: None: nobody has said where files are kept, and none is written.
        currency: of the prices of models.
    """

    def __init__(self, database: Database, publisher: Publisher, keeping: Keeping | None, currency: str) -> None:
        self._database, self._keeping, self._currency = database, keeping, currency
        self._files = None if keeping is None else JobFiles(database, publisher, keeping)

    async def write(self, held: HeldJob, ending: EndAttempt) -> None:
        """Keep the report of an attempt that is about to end. Where that is not possible, it ends without."""
        if self._keeping is None or self._files is None:
            return
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                async with self._database.reading() as session:
                    told = await self._told(session, held, ending)
                if told is not None:
                    await self._keep(self._keeping, self._files, held, told)
        except (PavoError, SQLAlchemyError, OSError, TimeoutError):  # TimeoutError is none of OSError's in 3.10
            logger.warning("Attempt %s at job %s ends without a report", held.epoch, held.job_id, exc_info=True)

    async def _keep(self, keeping: Keeping, files: JobFiles, held: HeldJob, told: str) -> None:
        staged = await asyncio.to_thread(keeping.store.stage, told.encode(errors="replace"))
        try:
            await files.keep(JobFile(held, REPORT, _MARKDOWN, staged))
        finally:
            await asyncio.to_thread(keeping.store.discard, staged)

    async def _told(self, session: AsyncSession, held: HeldJob, ending: EndAttempt) -> str | None:
        """None: the attempt does not hold its job, so that it does not end now."""
        job = await commands.job_of(session, held.job_id, held.epoch)
        if job is None or not job.holds:
            return None
        done = await results.executed(session, held.job_id, held.epoch) or Executed()
        verified = await results.verified(session, held.job_id, held.epoch) or Verified()
        place = await results.published(session, held.job_id, held.epoch)
        why = await attempts.why_ended(
            session,
            held.job_id,
            held.epoch,
            ending.how,
            ending.error,
            ending.cause,
            ending.remedy,
            ending.command_id,
        )
        begun = await access.begun_by(session, held)
        spent = (await spending(session, [held.job_id])).get(held.job_id, Spending())
        head = [f"# {inline(job.title)}", *_how(ending, why, place)]
        facts = [f"attempt {held.epoch}{f' by the agent {inline(begun.agent)}' if begun else ''}"]
        facts += [f"{begun.seconds:,.0f} s"] if begun else []
        facts += [f"program `{inline(job.program)}`", *_branch(job, place)]
        text = describe(_described(job, done, verified))
        return "\n\n".join([*head, "\n".join(f"- {each}" for each in facts), text, self._usage(done, spent), ""])

    def _usage(self, done: Executed, spent: Spending) -> str:
        told: list[str] = []
        if done.tokens.input or done.tokens.output:
            told.append(f"- as its program says: {done.tokens.input:,} tokens in, {done.tokens.output:,} out")
        if sums := spent.sums if spent.sums.calls else None:
            cost = f"{sums.cost / NANOS:.6f} {self._currency}"
            cost += f", and {sums.unpriced} calls without a known price" if sums.unpriced else ""
            told.append(
                f"- through Pavo, of all attempts: {sums.calls:,} calls, {sums.tokens_in:,} tokens in, "
                f"{sums.tokens_out:,} out, {cost}"
            )
        return "\n".join(["### What it took\n", *(told or ["Nobody told of calls of models."])])


def _how(ending: EndAttempt, why: JobError | None, place: Published | None) -> Sequence[str]:
    if ending.outcome == c.NO_CHANGES:
        return ["It is done: the program changed nothing."]
    told = [_ENDED.get(ending.how, ending.how)]
    if why is not None:
        told += [f"**{inline(why['type'])}**: {why['cause']}", why["remedy"]]
    if place is not None and place.url:
        told.append(f"Pull request: {place.url}")
    return told


def _branch(job: CommandJob, place: Published | None) -> Sequence[str]:
    if place is None or not place.commit:
        return [f"begun at `{inline(job.base_branch)}`; nothing was pushed"]
    return [f"begun at `{inline(job.base_branch)}`, pushed to `{inline(place.branch)}`: {inline(place.commit)}"]


def _described(job: CommandJob, done: Executed, verified: Verified) -> Described:
    checks = [Verification(each.name, each.exit_code, each.seconds, each.timed_out) for each in verified.checks]
    files = [ChangedFile(each.path, each.change, each.added, each.removed) for each in done.files]
    said = done.summary or "The program left no words of its own."
    return Described(job.prompt, said, checks, files, f"Pavo job `{job.job_id}`, attempt {job.epoch}")
