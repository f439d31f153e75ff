"""The bodies of the validation's activities."""

import uuid

from sqlalchemy.exc import DBAPIError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pavo.deploy.validation import contracts as c
from pavo.errors import Unavailable
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent


class Prover(c.ValidationActivities):
    """Works on Pavo's own database, with the statements that every task uses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="validation_echo")
    async def echo(self, word: str) -> str:
        """Answer the word."""
        return word

    @activity.defn(name="validation_database")
    async def write_and_read(self, scratch_id: str) -> int:
        """Commit events to a scratch timeline, read them on another connection, remove it; answers how many."""
        scratch = uuid.UUID(scratch_id)
        try:
            await self._remove(scratch)  # an attempt that was cut left it
            try:
                async with self._database.transaction() as session:
                    await timeline.create(session, scratch, NewEvent("validation", {"part": 1}))
                    await timeline.append(session, scratch, [NewEvent("validation", {"part": 2})])
                async with self._database.reading() as session:
                    return len(await timeline.read_after(session, scratch, 0, 10))
            finally:
                await self._remove(scratch)
        except Unavailable as error:
            raise ApplicationError(f"{error.detail} {error.__cause__}", type=error.code) from error
        except DBAPIError as error:
            # A missing table or privilege: the same at every attempt.
            raise ApplicationError(str(error.orig), type=type(error.orig).__name__, non_retryable=True) from error

    async def _remove(self, scratch: uuid.UUID) -> None:
        async with self._database.transaction() as session:
            await timeline.remove(session, scratch)

    @activity.defn(name="validation_retry")
    async def fail_first(self) -> int:
        """Fail at the first attempt; answers the attempt's number."""
        attempt = activity.info().attempt
        if attempt == 1:
            raise ApplicationError(
                "The first attempt fails on purpose.", type=c.FAILS_FIRST, category=ApplicationErrorCategory.BENIGN
            )
        return attempt
