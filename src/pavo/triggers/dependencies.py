"""What endpoints of triggers are handed. `api.create_app` puts the `TriggerUseCases` at `app.state.triggers`."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.triggers.receiving import TriggerReceiving
from pavo.triggers.service import TriggerService
from pavo.triggers.use_cases import TriggerUseCases


def _use_cases(request: Request) -> TriggerUseCases:
    found: TriggerUseCases = request.app.state.triggers
    return found


async def _triggers(request: Request) -> TriggerService:
    return _use_cases(request).triggers


async def _receiving(request: Request) -> TriggerReceiving:
    return _use_cases(request).receiving


TheTriggers = Annotated[TriggerService, Depends(_triggers)]
TheReceiving = Annotated[TriggerReceiving, Depends(_receiving)]
