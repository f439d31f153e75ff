"""What endpoints of schedules are handed."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.schedules.service import ScheduleService
from pavo.schedules.use_cases import ScheduleUseCases


async def _schedules(request: Request) -> ScheduleService:
    """The one that `api.create_app` put on the application."""
    found: ScheduleUseCases = request.app.state.services["schedule"]
    return found.schedules


TheSchedules = Annotated[ScheduleService, Depends(_schedules)]
