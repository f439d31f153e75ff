"""In every worker: what is due, and could not begin when its time came, begins as soon as it can."""

import asyncio
import logging
import uuid
from typing import Final

from pavo.errors import PavoError
from pavo.kit.sql import Database
from pavo.schedules.firing import ledger
from pavo.schedules.firing.starter import Starter

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
SOME: Final = 50
"""Schedules of one round."""
TURNS: Final = 4
LONGEST_SECONDS: Final = 60.0
"""For one schedule in one round."""


class FiringRounds:
    """Looks at schedules that have something due: what waits for its predecessor, what back-fills have written down,
    what another process was beginning when it died."""

    def __init__(self, database: Database, starter: Starter) -> None:
        self._database = database
        self._starter = starter

    async def run(self) -> None:
        """Without an end."""
        while True:
            try:
                await self.look()
            except PavoError as error:
                logger.warning("What schedules have due is looked at later: %s", error)
            except Exception:
                logger.exception("What schedules have due is looked at later")
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> int:
        """One round; how many schedules it looked at.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.transaction() as session:
            taken = await ledger.take_unsettled(session, SOME)
        turns = asyncio.Semaphore(TURNS)

        async def one(schedule_id: uuid.UUID) -> None:
            async with turns:
                await self._advance(schedule_id)

        await asyncio.gather(*map(one, taken))
        return len(taken)

    async def _advance(self, schedule_id: uuid.UUID) -> None:
        """What keeps one schedule from it keeps no other."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._starter.advance(schedule_id)
        except (PavoError, TimeoutError) as error:
            logger.warning("What schedule %s has due begins later: %s", schedule_id, error or "it takes long")
        except Exception:
            logger.exception("What schedule %s has due begins later", schedule_id)
