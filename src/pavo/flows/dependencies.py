"""What endpoints of flows are handed: the use cases, and whose flows they are."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller, own_organisation
from pavo.agents.endpoints import TheAgents, TheAnnouncements
from pavo.flows.checking.checked import KnownNames, Names
from pavo.flows.checking.checker import FlowChecker
from pavo.flows.published.service import PublishedFlows
from pavo.flows.temporal.contracts import NOUN
from pavo.flows.use_cases import FlowUseCases
from pavo.jobs.dependencies import TheRepositories
from pavo.tools.announced.availability import available
from pavo.tools.dependencies import TheTools


def _use_cases(request: Request) -> FlowUseCases:
    """Those that `wiring.served` has made."""
    found: FlowUseCases = request.app.state.services[NOUN]
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _checker(request: Request) -> FlowChecker:
    return _use_cases(request).checker


async def _published(request: Request) -> PublishedFlows:
    return _use_cases(request).published


async def _organisation(request: Request, who: Caller, organisation_id: uuid.UUID | None = None) -> uuid.UUID:
    """The organisation that is meant; the caller's own, if none is named.

    Raises:
        NotFound: unknown, or they are no member.
    """
    return (await own_organisation(request, who, organisation_id or who.organisation_id)).organisation_id


TheChecker = Annotated[FlowChecker, Depends(_checker)]
TheFlows = Annotated[PublishedFlows, Depends(_published)]
TheOrganisation = Annotated[uuid.UUID, Depends(_organisation)]


async def _names(
    organisation: TheOrganisation,
    flows: TheFlows,
    tools: TheTools,
    agents: TheAgents,
    announcements: TheAnnouncements,
    repositories: TheRepositories,
) -> KnownNames:
    """What flows of the organisation may name; where nobody can tell, why."""
    reasons: dict[Names, str] = {
        "flows": "There are more than can be looked up.",
        "python": "Workers do not tell which entry points they have.",
    }
    listed = available(await tools.live(), {})
    if listed.detail is not None:
        reasons["tools"] = listed.detail
    live = await announcements.live()
    if live is None:
        reasons["agents"] = "Redis does not answer, so nobody knows which agents the workers have."
    at_workers = {agent.name for each in (live[1] if live else ()) for agent in each.agents}
    numbers = await flows.numbers(organisation)
    return KnownNames(
        tools=None if listed.detail is not None else {each.name: [] for each in listed.items},
        agents=None if live is None else sorted({*agents.registry.names(), *at_workers}),
        repositories=[each.values.name for each in await repositories.all_of(organisation)],
        flows=None if numbers is None else {name: [*found] for name, found in numbers.items()},
        reasons=reasons,
    )


TheNames = Annotated[KnownNames, Depends(_names)]
