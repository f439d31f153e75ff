"""What endpoints of flows are handed. `api.create_app` puts the checker on the application."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller
from pavo.agents.endpoints import TheAgents, TheAnnouncements
from pavo.flows.checking.checked import KnownNames, Names
from pavo.flows.checking.checker import FlowChecker
from pavo.jobs.dependencies import TheRepositories
from pavo.tools.announced.availability import available
from pavo.tools.dependencies import TheTools


async def _checker(request: Request) -> FlowChecker:
    found: FlowChecker = request.app.state.flows
    return found


async def _names(
    who: Caller,
    tools: TheTools,
    agents: TheAgents,
    announcements: TheAnnouncements,
    repositories: TheRepositories,
) -> KnownNames:
    """What flows of the caller's organisation may name; where nobody can tell, why."""
    reasons: dict[Names, str] = {
        "flows": "No flows are kept here yet.",
        "python": "Workers do not tell which entry points they have.",
    }
    listed = available(await tools.live(), {})
    if listed.detail is not None:
        reasons["tools"] = listed.detail
    live = await announcements.live()
    if live is None:
        reasons["agents"] = "Redis does not answer, so nobody knows which agents the workers have."
    at_workers = {agent.name for each in (live[1] if live else ()) for agent in each.agents}
    return KnownNames(
        tools=None if listed.detail is not None else {each.name: [] for each in listed.items},
        agents=None if live is None else sorted({*agents.registry.names(), *at_workers}),
        repositories=[each.values.name for each in await repositories.all_of(who.organisation_id)],
        reasons=reasons,
    )


TheChecker = Annotated[FlowChecker, Depends(_checker)]
TheNames = Annotated[KnownNames, Depends(_names)]
