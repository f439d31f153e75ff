"""HTTP of agents: which there are."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from pavo.accounts.security import Caller
from pavo.agents.registry import AgentRegistry

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
async def list_agents(request: Request, who: Caller) -> list[AgentOut]:
    """All installed agents."""
    registry: AgentRegistry = request.app.state.registry
    return [
        AgentOut(
            name=card.name,
            description=card.description,
            options_schema=dict(card.options_schema),
            stop_grace=card.stop_grace,
            isolation=card.isolation,
            wants_context=card.wants_context,
        )
        for card in registry.cards()
    ]
