"""What endpoints of agents need."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.agents.registry import AgentRegistry


async def _agents(request: Request) -> AgentRegistry:
    """The agents that `api.create_app` put on the application."""
    registry: AgentRegistry = request.app.state.registry
    return registry


TheAgents = Annotated[AgentRegistry, Depends(_agents)]
