"""HTTP of agents: which there are."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from pavo.accounts.dependencies import Caller
from pavo.agents.dependencies import TheAgents

router = APIRouter(prefix="/api/agents", tags=["agents"])


class AgentOut(BaseModel):
    """An agent that tasks can choose by `agent_type`."""

    name: str
    description: str
    options_schema: dict[str, Any]
    stop_grace: float
    isolation: str
    wants_context: bool


@router.get("")
async def list_agents(agents: TheAgents, who: Caller) -> list[AgentOut]:
    """All installed agents."""
    return [
        AgentOut(
            name=card.name,
            description=card.description,
            options_schema=dict(card.options_schema),
            stop_grace=card.stop_grace,
            isolation=card.isolation,
            wants_context=card.wants_context,
        )
        for card in agents.cards()
    ]
