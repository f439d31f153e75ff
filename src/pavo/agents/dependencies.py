"""What endpoints of agents need."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.agents.announced.announcement import Announcement
from pavo.agents.announced.announcements import Announcements
from pavo.agents.registry import AgentRegistry


async def _agents(request: Request) -> AgentRegistry:
    """The agents that `api.create_app` put on the application."""
    registry: AgentRegistry = request.app.state.registry
    return registry


async def _announcements(request: Request) -> Announcements[Announcement]:
    """What the workers say, as `api.create_app` put it on the application."""
    announcements: Announcements[Announcement] = request.app.state.parts.announcements
    return announcements


TheAgents = Annotated[AgentRegistry, Depends(_agents)]
TheAnnouncements = Annotated[Announcements[Announcement], Depends(_announcements)]
