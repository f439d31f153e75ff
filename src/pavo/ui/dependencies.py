"""What endpoints of the page need."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.config import Settings


async def _settings(request: Request) -> Settings:
    """The settings that `api.create_app` put on the application."""
    settings: Settings = request.app.state.settings
    return settings


TheSettings = Annotated[Settings, Depends(_settings)]
