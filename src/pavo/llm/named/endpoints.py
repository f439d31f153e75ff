"""HTTP of organisations' endpoints of models, for owners: parse, call one service method, return."""

from fastapi import APIRouter

from pavo.accounts.dependencies import OwnedOrganisation
from pavo.kit.problem import problems
from pavo.llm.dependencies import TheEndpoints
from pavo.llm.named.schemas import ModelEndpointIn, ModelEndpointList, ModelEndpointOut

router = APIRouter(
    prefix="/api/organisations/{organisation_id}/model-endpoints",
    tags=["organisations"],
    responses=problems(401, 404, 422),
)


@router.get("", operation_id="list_model_endpoints")
async def list_model_endpoints(endpoints: TheEndpoints, owner: OwnedOrganisation) -> ModelEndpointList:
    """The organisation's own endpoints of models, by name, without their keys. For owners."""
    found = await endpoints.all_of(owner.organisation_id)
    return ModelEndpointList(items=[ModelEndpointOut.model_validate(each) for each in found])


@router.get("/{name}", operation_id="get_model_endpoint")
async def get_model_endpoint(endpoints: TheEndpoints, owner: OwnedOrganisation, name: str) -> ModelEndpointOut:
    """One of them. For owners."""
    return ModelEndpointOut.model_validate(await endpoints.get(owner.organisation_id, name))


@router.put("/{name}", operation_id="set_model_endpoint", responses=problems(409))
async def set_model_endpoint(
    endpoints: TheEndpoints, owner: OwnedOrganisation, name: str, new: ModelEndpointIn
) -> ModelEndpointOut:
    """Set an endpoint, new or not; it holds for every call that begins from now on. For owners."""
    found = await endpoints.set(owner.organisation_id, name, new.values(), owner.user_id)
    return ModelEndpointOut.model_validate(found)


@router.delete("/{name}", status_code=204, operation_id="remove_model_endpoint")
async def remove_model_endpoint(endpoints: TheEndpoints, owner: OwnedOrganisation, name: str) -> None:
    """Remove an endpoint; calls that name it are refused, but for those that are recorded. For owners."""
    await endpoints.remove(owner.organisation_id, name)
