"""HTTP of agents: which there are."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request

from pavo.accounts.dependencies import Caller
from pavo.agents.announced.announcement import Announcement
from pavo.agents.announced.announcements import Announcements
from pavo.agents.announced.availability import availability
from pavo.agents.announced.schemas import AgentOut
from pavo.agents.importing import Imports

LIST_SECONDS: Final = 2.0
"""So long the list waits for imports: an agent whose import takes longer is told so."""


async def _agents(request: Request) -> Imports:
    """The agents that `api.create_app` put on the application."""
    agents: Imports = request.app.state.agents
    return agents


async def _announcements(request: Request) -> Announcements[Announcement]:
    """What the workers say, as `api.create_app` put it on the application."""
    announcements: Announcements[Announcement] = request.app.state.parts.announcements
    return announcements


TheAgents = Annotated[Imports, Depends(_agents)]
TheAnnouncements = Annotated[Announcements[Announcement], Depends(_announcements)]

router = APIRouter(prefix="/api/agents", tags=["agents"])


@router.get("")
async def list_agents(agents: TheAgents, announcements: TheAnnouncements, who: Caller) -> list[AgentOut]:
    """What the live workers have, beside what this API has installed: `health` and `detail` tell the two apart."""
    importing, live = await asyncio.gather(agents.all_within(LIST_SECONDS), announcements.live())
    return availability(agents.registry, live, importing)
