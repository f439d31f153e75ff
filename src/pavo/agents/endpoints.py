"""HTTP of agents: which there are."""

from fastapi import APIRouter

from pavo.accounts.dependencies import Caller
from pavo.agents.announced.availability import availability
from pavo.agents.announced.schemas import AgentOut
from pavo.agents.dependencies import TheAgents, TheAnnouncements

router = APIRouter(prefix="/api/agents", tags=["agents"])


@router.get("")
async def list_agents(agents: TheAgents, announcements: TheAnnouncements, who: Caller) -> list[AgentOut]:
    """What the live workers have, beside what this API has installed: `health` and `detail` tell the two apart."""
    return availability(agents, await announcements.live())
