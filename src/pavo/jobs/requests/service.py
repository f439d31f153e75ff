"""Use cases of looking at jobs. Unknown and foreign ones are the same."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Grant, Identity
from pavo.errors import NotFound
from pavo.jobs.requests import views
from pavo.jobs.requests.domain import GivenCommand, JobView, WantedJobs
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.timeline.domain import Subject
from pavo.usage.domain import Spending
from pavo.usage.runs import spending


class JobViews:
    """Jobs as people see them.

    Args:
        database: Pavo's database.
        currency: of the operator's prices.
    """

    def __init__(self, database: Database, currency: str = "USD") -> None:
        self._database = database
        self._currency = currency

    async def get(self, who: Identity, job_id: uuid.UUID) -> JobView:
        """One job with its attempts.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            found = await views.job(session, job_id)
            [found] = await self._with_spending(session, [found]) if found is not None else [None]
        if found is None or found.organisation_id not in who.organisation_ids:
            raise _unknown(job_id)
        return found

    async def page(
        self, organisation_id: uuid.UUID, wanted: WantedJobs, cursor: str | None, limit: int
    ) -> Page[JobView]:
        """The organisation's jobs, newest first.

        Raises:
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            found = await views.jobs(session, organisation_id, wanted, before, limit + 1)
            found = await self._with_spending(session, found)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], Cursor(last.created_at, last.id).encode() if last else None)

    async def _with_spending(self, session: AsyncSession, found: Sequence[JobView]) -> list[JobView]:
        spent = await spending(session, [each.id for each in found])
        return [replace(each, spending=spent.get(each.id, Spending()), currency=self._currency) for each in found]

    async def commands(self, job_id: uuid.UUID, after: int, limit: int) -> list[GivenCommand]:
        """What the job's agents were told and what they answered, in order, behind number `after`."""
        async with self._database.reading() as session:
            return await views.commands(session, job_id, after, limit)

    async def watched(self, who: Identity | None, job_id: uuid.UUID) -> Subject:
        """A job as the subject of a stream; a deleted one too, for its streams end instead of being unknown.

        Args:
            who: None where the job's id is the capability (dev mode).

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            found = await views.tombstone(session, job_id)
        if found is None or (who is not None and found[0] not in who.organisation_ids):
            raise _unknown(job_id)
        return Subject(job_id, deleted=found[1], grant=Grant("job", job_id, found[0], who))


def _unknown(job_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no job {job_id}.", field="job_id", remedy="Look at your organisation's jobs.")
