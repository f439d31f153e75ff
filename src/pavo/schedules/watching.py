"""The second line of schedules: times at which Temporal started nothing are found, and caught up or counted."""

import logging
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.sql import Database, time_of
from pavo.runs.kinds import RunningRow
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.firing import ledger
from pavo.schedules.mirror import Mirror
from pavo.schedules.models import ScheduleRow
from pavo.schedules.times.compiled import compiled
from pavo.schedules.times.computing import upcoming
from pavo.schedules.times.spec import TimesSpec

logger = logging.getLogger(__name__)

MOST: Final = 2_000
"""Times of a schedule that are looked at in a round; the next round goes on."""


class ScheduleRows:
    """Schedules for the second line: see `runs.kinds.Rows`. They never say that they run; a round puts their mirrors
    right, and catches up what nothing started in time."""

    def __init__(self, database: Database, mirror: Mirror) -> None:
        self._database = database
        self._mirror = mirror

    async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        """None: what a schedule starts says that itself."""
        return
        yield

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        """Nothing is to be explained."""
        return False

    async def go_on(self) -> None:
        """One round.

        Raises:
            Unavailable: PostgreSQL or Temporal is away; what is late is found all the same where PostgreSQL is not.
        """
        try:
            await self._mirror.put_right()
        finally:
            await self.look()

    async def look(self) -> int:
        """Write firings for times that are so late that Temporal will not have them begin; how many.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        found, last = 0, None
        async with self._database.reading() as session:
            before = await time_of(session) - d.LATE
        while True:
            async with self._database.reading() as session:
                page = await repository.to_look_at(session, before, last)
            for schedule_id in page:
                found += await self._look_at(schedule_id, before)
            if len(page) < repository.PAGE:
                return found
            last = page[-1]

    async def _look_at(self, schedule_id: uuid.UUID, before: datetime) -> int:
        async with self._database.transaction() as session:
            row = await repository.lock(session, schedule_id)
            if row is None or row.paused_at is not None:
                return 0
            times = compiled(TimesSpec.model_validate(row.times))
            until = before - times.jitter
            moments = list[datetime]()
            for moment in upcoming(times, row.looked_until, until):
                moments.append(moment)
                if len(moments) == MOST:
                    until = moment
                    break
            if until <= row.looked_until:
                return 0
            return await self._catch_up(session, row, moments, until)

    async def _catch_up(self, session: AsyncSession, row: ScheduleRow, moments: list[datetime], until: datetime) -> int:
        oldest = await time_of(session) - d.LATE - timedelta(seconds=row.catch_up_seconds)
        known = await ledger.at(session, row.id, moments)
        lost = [moment for moment in moments if moment not in known]
        recent = [moment for moment in lost if moment >= oldest]
        await ledger.add(session, row.id, recent, reason=d.CAUGHT_UP, overlap=row.overlap)
        too_old = len(lost) - len(recent)
        if len(moments) == MOST and until < oldest:  # of a very long absence only the end is counted one by one
            until = oldest
        await repository.looked(session, row.id, until, too_old)
        if lost:
            logger.warning(
                "Schedule %s (%s): nothing had started at %s times; %s of them are caught up",
                row.name,
                row.id,
                len(lost),
                len(recent),
            )
        return len(recent)
