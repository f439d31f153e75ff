"""HTTP of an organisation's secrets, for its owners: parse, call one service method, return. No value comes back."""

from typing import Annotated

from fastapi import APIRouter, Query

from pavo.accounts.dependencies import OwnedOrganisation, TheSecrets
from pavo.accounts.secrets.schemas import SecretChangeList, SecretChangeOut, SecretIn, SecretList, SecretOut
from pavo.kit.problem import problems

router = APIRouter(
    prefix="/api/organisations/{organisation_id}", tags=["organisations"], responses=problems(401, 404, 422)
)


@router.get("/secrets", operation_id="list_secrets")
async def list_secrets(secrets: TheSecrets, owner: OwnedOrganisation) -> SecretList:
    """The organisation's secrets, by name, without their values. For owners."""
    found = await secrets.all_of(owner.organisation_id)
    return SecretList(items=[SecretOut.model_validate(each) for each in found])


@router.put("/secrets/{name}", operation_id="set_secret", responses=problems(409))
async def set_secret(secrets: TheSecrets, owner: OwnedOrganisation, name: str, new: SecretIn) -> SecretOut:
    """Set a secret, new or not. Its value is not shown again: agents that declare it get it. For owners."""
    value = new.value.get_secret_value()
    return SecretOut.model_validate(await secrets.set(owner.organisation_id, name, value, owner.user_id))


@router.delete("/secrets/{name}", status_code=204, operation_id="remove_secret")
async def remove_secret(secrets: TheSecrets, owner: OwnedOrganisation, name: str) -> None:
    """Remove a secret. For owners."""
    await secrets.remove(owner.organisation_id, name, owner.user_id)


@router.get("/secret-changes", operation_id="list_secret_changes")
async def list_secret_changes(
    secrets: TheSecrets,
    owner: OwnedOrganisation,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SecretChangeList:
    """Who set and removed secrets, newest first. For owners."""
    page = await secrets.changes(owner.organisation_id, cursor, limit)
    items = [SecretChangeOut.model_validate(each) for each in page.items]
    return SecretChangeList(items=items, next_cursor=page.next_cursor)
