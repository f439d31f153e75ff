"""HTTP of remote agents: parse, call one service method, return."""

from fastapi import APIRouter

from pavo.accounts.dependencies import OwnedOrganisation, OwnOrganisation
from pavo.jobs.agents.schemas import RemoteAgentList, RemoteAgentOut
from pavo.jobs.dependencies import TheRoster
from pavo.kit.problem import problems

router = APIRouter(
    prefix="/api/orgs/{organisation_id}/agents", tags=["remote agents"], responses=problems(401, 404, 422)
)


@router.get("", operation_id="list_remote_agents")
async def list_remote_agents(roster: TheRoster, mine: OwnOrganisation) -> RemoteAgentList:
    """The agents that serve the organisation: its own, then the operator's."""
    found = await roster.all_of(mine.organisation_id)
    return RemoteAgentList(items=[RemoteAgentOut.model_validate(each) for each in found])


@router.get("/{agent}", operation_id="get_remote_agent")
async def get_remote_agent(roster: TheRoster, mine: OwnOrganisation, agent: str) -> RemoteAgentOut:
    """One agent, by its name."""
    return RemoteAgentOut.model_validate(await roster.get(mine.organisation_id, agent))


@router.post("/{agent}/drain", operation_id="drain_remote_agent")
async def drain_remote_agent(roster: TheRoster, owner: OwnedOrganisation, agent: str) -> RemoteAgentOut:
    """Have an agent finish what it is at and take nothing new. For owners."""
    return RemoteAgentOut.model_validate(await roster.drain(owner.organisation_id, agent, wanted=True))


@router.post("/{agent}/undrain", operation_id="undrain_remote_agent")
async def undrain_remote_agent(roster: TheRoster, owner: OwnedOrganisation, agent: str) -> RemoteAgentOut:
    """Have an agent take jobs again. For owners."""
    return RemoteAgentOut.model_validate(await roster.drain(owner.organisation_id, agent, wanted=False))


@router.delete("/{agent}", status_code=204, operation_id="remove_remote_agent", responses=problems(409))
async def remove_remote_agent(roster: TheRoster, owner: OwnedOrganisation, agent: str) -> None:
    """Forget an agent that is gone for good. For owners."""
    await roster.remove(owner.organisation_id, agent)
