"""How what is to go is removed: a part at once, the rest by the reconciler's rounds."""

import logging
import uuid
from datetime import timedelta
from typing import Final

from pavo.errors import PavoError, Unavailable
from pavo.jobs.live import repository as changes
from pavo.jobs.removal import repository
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

VIEWERS_LEAVE: Final = timedelta(seconds=10)
"""How long those who follow a job have to see its end: so long its timeline stays."""
BATCHES_AT_ONCE: Final = 20
"""Transactions of one deletion at most, so that its answer comes soon; the reconciler does the rest."""
BATCHES_OF_A_ROUND: Final = 400
"""Transactions of one round at most; the next one goes on."""


async def begin(database: Database, job_id: uuid.UUID) -> None:
    """Remove what a deleted job held, as far as that can be done at once."""
    try:
        await _empty(database, repository.Left(job_id, unwatched=False), BATCHES_AT_ONCE)
    except Unavailable as error:
        logger.info("The removal of job %s goes on later: %s", job_id, error)


async def go_on(database: Database, *, age: timedelta = VIEWERS_LEAVE, batches: int = BATCHES_OF_A_ROUND) -> None:
    """Go on with what is left of deleted jobs, oldest first. One that cannot be removed keeps no other from it.

    Raises:
        Unavailable: PostgreSQL is away; what was removed until then stays removed.
    """
    async with database.reading() as session:
        found = await repository.left(session, age, batches)
    failure: Exception | None = None
    for each in found:
        try:
            batches = await _empty(database, each, batches)
        except PavoError:
            raise
        except Exception as error:
            logger.error("What is left of job %s cannot be removed", each.job_id, exc_info=error)
            failure = failure or error
        if batches <= 0:
            break
    if failure is not None:
        raise failure


async def forget_old(database: Database, log_days: float, *, batches: int = BATCHES_OF_A_ROUND) -> None:
    """Remove logs of jobs that ended so many days ago, and changes that nobody resumes from.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    more_logs = more_changes = True
    while (more_logs or more_changes) and batches > 0:
        async with database.transaction() as session:
            more_logs = more_logs and await repository.remove_some_log(session, timedelta(days=log_days))
        async with database.transaction() as session:
            more_changes = more_changes and await changes.prune(session)
        batches -= 1


async def _empty(database: Database, job: repository.Left, batches: int) -> int:
    """How many of the batches are left."""
    while batches > 0:
        async with database.transaction() as session:
            done = await repository.empty_some(session, job.job_id, unwatched=job.unwatched)
        batches -= 1
        if done is not False:
            break
    return batches
