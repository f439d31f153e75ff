"""What endpoints of tools and policies need. `api.create_app` puts it on the application."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.agents.announced.announcements import Announcements
from pavo.tools.announced.announcement import ToolsAnnouncement
from pavo.tools.policies.service import PolicyService


async def _policies(request: Request) -> PolicyService:
    found: PolicyService = request.app.state.policies
    return found


async def _tools(request: Request) -> Announcements[ToolsAnnouncement]:
    """What the workers say of their tools."""
    found: Announcements[ToolsAnnouncement] = request.app.state.parts.tools
    return found


ThePolicies = Annotated[PolicyService, Depends(_policies)]
TheTools = Annotated[Announcements[ToolsAnnouncement], Depends(_tools)]
