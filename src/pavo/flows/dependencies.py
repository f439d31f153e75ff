"""What endpoints of flows are handed: the use cases, and whose flows they are."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller, StreamCaller, own_organisation
from pavo.agents.endpoints import TheAgents, TheAnnouncements
from pavo.flows.checking.checked import KnownNames, Names
from pavo.flows.checking.checker import FlowChecker
from pavo.flows.doctoring.doctor import FlowDoctor
from pavo.flows.generated.prompt import Described, Offered
from pavo.flows.generated.service import FlowGenerator
from pavo.flows.ledger.listing import RunLine
from pavo.flows.published.service import PublishedFlows
from pavo.flows.published.starting import RunStarts
from pavo.flows.runs import RunService
from pavo.flows.shown.views import RunViews
from pavo.flows.temporal.contracts import NOUN
from pavo.flows.use_cases import FlowUseCases
from pavo.jobs.dependencies import TheRepositories
from pavo.timeline.domain import Subject
from pavo.tools.announced.availability import available
from pavo.tools.dependencies import ThePolicies, TheTools


def _use_cases(request: Request) -> FlowUseCases:
    """Those that `wiring.served` has made."""
    found: FlowUseCases = request.app.state.services[NOUN]
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _checker(request: Request) -> FlowChecker:
    return _use_cases(request).checker


async def _published(request: Request) -> PublishedFlows:
    return _use_cases(request).published


async def _runs(request: Request) -> RunService:
    return _use_cases(request).runs


async def _starts(request: Request) -> RunStarts:
    return _use_cases(request).starts


async def _views(request: Request) -> RunViews:
    return _use_cases(request).views


async def _doctor(request: Request) -> FlowDoctor:
    found = _use_cases(request).doctor
    assert found is not None, "an API has one"
    return found


async def _generator(request: Request) -> FlowGenerator:
    return _use_cases(request).generator


async def own_run(request: Request, who: Caller, run_id: uuid.UUID) -> RunLine:
    """The run of the path.

    Raises:
        NotFound: unknown, removed, or not theirs.
    """
    return await _use_cases(request).views.own(who, run_id)


async def watched_run(request: Request, who: StreamCaller, run_id: uuid.UUID) -> Subject:
    """The run of the path as the subject of a stream, removed or not.

    Raises:
        NotFound: unknown, or not theirs.
    """
    return await _use_cases(request).views.watched(who, run_id)


async def _organisation(request: Request, who: Caller, organisation_id: uuid.UUID | None = None) -> uuid.UUID:
    """The organisation that is meant; the caller's own, if none is named.

    Raises:
        NotFound: unknown, or they are no member.
    """
    return (await own_organisation(request, who, organisation_id or who.organisation_id)).organisation_id


TheChecker = Annotated[FlowChecker, Depends(_checker)]
TheFlows = Annotated[PublishedFlows, Depends(_published)]
TheRuns = Annotated[RunService, Depends(_runs)]
TheStarts = Annotated[RunStarts, Depends(_starts)]
TheViews = Annotated[RunViews, Depends(_views)]
OwnRun = Annotated[RunLine, Depends(own_run)]
WatchedRun = Annotated[Subject, Depends(watched_run)]
TheDoctor = Annotated[FlowDoctor, Depends(_doctor)]
TheGenerator = Annotated[FlowGenerator, Depends(_generator)]
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


async def _offer(
    organisation: TheOrganisation,
    known: TheNames,
    tools: TheTools,
    policies: ThePolicies,
    announcements: TheAnnouncements,
) -> Offered:
    """The same with what tools and agents say of themselves, for whoever is to write a flow of them."""
    listed = available(await tools.live(), await policies.effects(organisation))
    live = await announcements.live()
    said = {each.name: each.description for told in (live[1] if live else ()) for each in told.agents}
    return Offered(
        known,
        [Described(each.name, each.description, each.counts_as, each.parameters) for each in listed.items],
        [Described(name, description) for name, description in sorted(said.items())],
    )


TheOffer = Annotated[Offered, Depends(_offer)]
