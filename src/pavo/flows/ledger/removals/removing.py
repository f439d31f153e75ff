"""How a run that is to go is removed: a part at once, the rest by rounds of the reconciler."""

import logging
import uuid
from datetime import timedelta
from typing import Final

from pavo.errors import PavoError, Unavailable
from pavo.flows.ledger.removals import removal
from pavo.flows.ledger.removals.removal import LeftRun
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

VIEWERS_LEAVE: Final = timedelta(seconds=10)
"""How long those who follow a run have to see its end: so long its timeline stays."""
BATCHES_AT_ONCE: Final = 20
"""Transactions of one removal at most, so that its answer comes soon; the reconciler does the rest."""
BATCHES_OF_A_ROUND: Final = 400
"""Transactions of one round at most; the next one goes on."""


async def begin(database: Database, run_id: uuid.UUID) -> None:
    """Remove what a removed run held, as far as that can be done at once."""
    try:
        await _empty(database, LeftRun(run_id, unwatched=False), BATCHES_AT_ONCE)
    except Unavailable as error:
        logger.info("The removal of run %s goes on later: %s", run_id, error)


async def go_on(database: Database, *, age: timedelta = VIEWERS_LEAVE, batches: int = BATCHES_OF_A_ROUND) -> None:
    """Go on with what is left of removed runs, oldest first. One that cannot be removed keeps no other from it.

    Raises:
        Unavailable: PostgreSQL is away; what was removed until then stays removed.
    """
    async with database.reading() as session:
        found = await removal.left(session, age, batches)
    failure: Exception | None = None
    for each in found:
        try:
            batches = await _empty(database, each, batches)
        except PavoError:
            raise
        except Exception as error:
            logger.error("What is left of run %s cannot be removed", each.run_id, exc_info=error)
            failure = failure or error
        if batches <= 0:
            break
    if failure is not None:
        raise failure


async def _empty(database: Database, run: LeftRun, batches: int) -> int:
    """How many of the batches are left."""
    while batches > 0:
        async with database.transaction() as session:
            done = await removal.empty_some(session, run.run_id, unwatched=run.unwatched)
        batches -= 1
        if done is not False:
            break
    return batches
