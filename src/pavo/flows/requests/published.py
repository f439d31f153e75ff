"""HTTP of published flows: parse, call one service method, return."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from pavo.accounts.dependencies import Caller
from pavo.flows.dependencies import TheFlows, TheNames, TheOrganisation
from pavo.flows.ledger.catalogue import WantedFlows
from pavo.flows.published.presenters import flow_out, flow_page, published_out, text_out, version_out
from pavo.flows.published.schemas import (
    FlowDeprecation,
    FlowDifferenceOut,
    FlowOut,
    FlowPage,
    FlowPublish,
    FlowRollback,
    FlowVersionOut,
    FlowVersionPage,
    FlowVersionText,
    PublishedOut,
)
from pavo.kit.problem import problems
from pavo.kit.texts.fields import Text

router = APIRouter(prefix="/api/flows", tags=["flows"], responses=problems(401, 404, 422))
MAX_NUMBER = 2**31 - 1
FlowName = Annotated[Text, Path(max_length=63)]
Number = Annotated[int, Path(ge=1, le=MAX_NUMBER)]
ONE = "/{name}/versions/{number}"


@router.post(
    "",
    status_code=201,
    operation_id="publish_flow",
    responses={200: {"model": PublishedOut, "description": "It was published before."}, **problems(409)},
)
async def publish_flow(
    flows: TheFlows,
    organisation: TheOrganisation,
    known: TheNames,
    who: Caller,
    response: Response,
    new: FlowPublish,
) -> PublishedOut:
    """Publish a flow: it becomes the next version of its name, and the current one. A flow that says the same as a
    version that is there is that version: nothing changes, and what is current stays."""
    found = await flows.publish(organisation, new.text, known, who.user_id, new.reason, new.accept)
    if not found.created:
        response.status_code = 200
    return published_out(found)


@router.get("", operation_id="list_flows")
async def list_flows(
    flows: TheFlows,
    organisation: TheOrganisation,
    q: Annotated[Text | None, Query(max_length=63, description="A part of the name.")] = None,
    deprecated: Annotated[bool | None, Query(description="Whether the current version is.")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FlowPage:
    """The organisation's published flows, by their current versions; the one that was published last comes first."""
    return flow_page(await flows.page(organisation, WantedFlows(q, deprecated), cursor, limit))


@router.get("/{name}", operation_id="get_flow")
async def get_flow(flows: TheFlows, organisation: TheOrganisation, name: FlowName) -> FlowOut:
    """A flow: its current version with what it says, and which versions were current before."""
    return flow_out(await flows.get(organisation, name))


@router.get("/{name}/versions", operation_id="list_flow_versions")
async def list_flow_versions(
    flows: TheFlows,
    organisation: TheOrganisation,
    name: FlowName,
    before: Annotated[int | None, Query(ge=1, le=MAX_NUMBER, description="Those below this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FlowVersionPage:
    """A flow's versions, the newest first."""
    found, following = await flows.versions(organisation, name, before, limit)
    return FlowVersionPage(items=[version_out(each) for each in found], next=following)


@router.get(ONE, operation_id="get_flow_version")
async def get_flow_version(
    flows: TheFlows, organisation: TheOrganisation, name: FlowName, number: Number
) -> FlowVersionText:
    """One version, with what it says."""
    return text_out(await flows.version(organisation, name, number))


@router.get("/{name}/diff", operation_id="compare_flow_versions")
async def compare_flow_versions(
    flows: TheFlows,
    organisation: TheOrganisation,
    name: FlowName,
    before: Annotated[int, Query(alias="from", ge=1, le=MAX_NUMBER)],
    after: Annotated[int, Query(alias="to", ge=1, le=MAX_NUMBER)],
) -> FlowDifferenceOut:
    """What differs between two versions: steps that were added, removed and changed, each with its paths; what differs
    outside of steps; and all of it as text."""
    return FlowDifferenceOut.model_validate(await flows.compare(organisation, name, before, after))


@router.post(f"{ONE}/rollback", operation_id="roll_flow_back", responses=problems(409))
async def roll_flow_back(
    flows: TheFlows,
    organisation: TheOrganisation,
    who: Caller,
    name: FlowName,
    number: Number,
    given: FlowRollback,
) -> FlowVersionOut:
    """Make a version that is there the current one: runs that name none execute it. It keeps its number, and runs in
    progress go on with theirs."""
    return version_out(await flows.roll_back(organisation, name, number, who.user_id, given.reason))


@router.post(f"{ONE}/deprecate", operation_id="deprecate_flow")
async def deprecate_flow(
    flows: TheFlows, organisation: TheOrganisation, name: FlowName, number: Number, given: FlowDeprecation
) -> FlowVersionOut:
    """Have no new run of a version: whoever tries is told the reason. Runs in progress go on."""
    return version_out(await flows.deprecate(organisation, name, number, given.reason))


@router.post(f"{ONE}/undeprecate", operation_id="undeprecate_flow")
async def undeprecate_flow(
    flows: TheFlows, organisation: TheOrganisation, name: FlowName, number: Number
) -> FlowVersionOut:
    """Let new runs of a version begin again."""
    return version_out(await flows.deprecate(organisation, name, number, None))
