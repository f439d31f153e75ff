"""What endpoints of schedules are handed."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.schedules.backfill import BackfillService
from pavo.schedules.service import ScheduleService
from pavo.schedules.use_cases import ScheduleUseCases


def _use_cases(request: Request) -> ScheduleUseCases:
    """Those that `api.create_app` put on the application."""
    found: ScheduleUseCases = request.app.state.services["schedule"]
    return found


async def _schedules(request: Request) -> ScheduleService:
    return _use_cases(request).schedules


async def _backfill(request: Request) -> BackfillService:
    return _use_cases(request).backfill


TheSchedules = Annotated[ScheduleService, Depends(_schedules)]
TheBackfill = Annotated[BackfillService, Depends(_backfill)]
