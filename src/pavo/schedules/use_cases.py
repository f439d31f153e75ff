"""All use cases of schedules, as they are built and as endpoints find them."""

from dataclasses import dataclass

from pavo.schedules.backfill import BackfillService
from pavo.schedules.service import ScheduleService


@dataclass(frozen=True, slots=True)
class ScheduleUseCases:
    """What people and programs do with schedules."""

    schedules: ScheduleService
    backfill: BackfillService
