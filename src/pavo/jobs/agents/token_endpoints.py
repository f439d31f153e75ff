"""HTTP of agents' tokens, for owners: parse, call one service method, return."""

import uuid
from datetime import timedelta

from fastapi import APIRouter

from pavo.accounts.dependencies import OwnedOrganisation
from pavo.jobs.agents.token_schemas import AgentTokenCreate, AgentTokenList, AgentTokenOut, NewAgentTokenOut
from pavo.jobs.dependencies import TheAgentTokens
from pavo.kit.problem import problems

router = APIRouter(
    prefix="/api/orgs/{organisation_id}/agent-tokens", tags=["remote agents"], responses=problems(401, 404, 422)
)


@router.get("", operation_id="list_agent_tokens")
async def list_agent_tokens(tokens: TheAgentTokens, owner: OwnedOrganisation) -> AgentTokenList:
    """The organisation's tokens, newest first, without their secrets. For owners."""
    found = await tokens.all_of(owner.organisation_id)
    return AgentTokenList(items=[AgentTokenOut.model_validate(each) for each in found])


@router.post("", status_code=201, operation_id="create_agent_token", responses=problems(409))
async def create_agent_token(
    tokens: TheAgentTokens, owner: OwnedOrganisation, new: AgentTokenCreate
) -> NewAgentTokenOut:
    """Create a token that agents prove themselves by; its secret is shown this once. For owners."""
    lasts = None if new.expires_in_seconds is None else timedelta(seconds=new.expires_in_seconds)
    made = await tokens.create(owner.organisation_id, new.name, agent=new.agent, expires_in=lasts, by=owner.user_id)
    return NewAgentTokenOut(**AgentTokenOut.model_validate(made.token).model_dump(), secret=made.secret)


@router.delete("/{token_id}", status_code=204, operation_id="revoke_agent_token")
async def revoke_agent_token(tokens: TheAgentTokens, owner: OwnedOrganisation, token_id: uuid.UUID) -> None:
    """End a token and the sessions that it opened. Done twice it changes nothing more. For owners."""
    await tokens.revoke(owner.organisation_id, token_id)
