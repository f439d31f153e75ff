"""A time of a schedule has come: its firing is written down, and what is due begins."""

import asyncio
import logging
import uuid
from typing import Final

from temporalio import activity

from pavo.errors import PavoError
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.schedules import domain as d
from pavo.schedules.firing import ledger
from pavo.schedules.firing.contracts import Fired, FiringActivities
from pavo.schedules.firing.starter import Starter
from pavo.schedules.models import ScheduleRow
from pavo.schedules.times.compiled import compiled
from pavo.schedules.times.computing import is_one
from pavo.schedules.times.spec import TimesSpec
from pavo.starts.firings import SKIPPED

logger = logging.getLogger(__name__)

SECONDS: Final = 5.0
"""For beginning what is due; what takes longer is gone on with by a worker's rounds."""


class FiringRecorder(FiringActivities):
    """Writes firings down."""

    def __init__(self, database: Database, starter: Starter) -> None:
        self._database = database
        self._starter = starter

    @activity.defn(name="fire_schedule")
    async def fire(self, fired: Fired) -> None:
        """Write it down, and begin what may begin now.

        Raises:
            Unavailable: PostgreSQL is away; once the firing is written down, whatever else is away is waited for by a
                worker's rounds.
        """
        schedule_id = uuid.UUID(fired.schedule_id)
        async with self._database.transaction() as session:
            schedule = await ledger.locked(session, schedule_id)
            if schedule is None or schedule.deleted_at is not None or not _is_meant(schedule, fired):
                return
            same = {"reason": d.BY_SCHEDULE, "overlap": schedule.overlap}
            if schedule.paused_at is not None and fired.nominal_at > schedule.paused_at:
                told = f"paused: {schedule.paused_reason}"
                new = await ledger.add(session, schedule_id, [fired.nominal_at], **same, state=SKIPPED, told=told)
                metrics.FIRINGS.add(SKIPPED, by=len(new))
                return
            await ledger.add(session, schedule_id, [fired.nominal_at], **same)
        try:
            async with asyncio.timeout(SECONDS):
                await self._starter.advance(schedule_id)
        except (PavoError, TimeoutError) as error:
            logger.warning("What schedule %s has due begins later: %s", schedule_id, error or "it takes long")


def _is_meant(schedule: ScheduleRow, fired: Fired) -> bool:
    """Whether the schedule, as it is now, or was at that time, says this time: its mirror may be of before."""
    if fired.version == schedule.version or fired.nominal_at <= schedule.changed_at:
        return True
    return is_one(compiled(TimesSpec.model_validate(schedule.times)), fired.nominal_at)
