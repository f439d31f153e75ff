"""HTTP of policies, for owners of the organisation: parse, call one service method, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from pavo.accounts.dependencies import Caller, own_organisation, owned_organisation
from pavo.accounts.domain import Identity
from pavo.errors import NotFound
from pavo.kit.problem import problems
from pavo.tools.dependencies import ThePolicies
from pavo.tools.policies.domain import Policy
from pavo.tools.policies.schemas import PolicyCreate, PolicyEdit, PolicyList, PolicyOut
from pavo.tools.policies.service import unknown

router = APIRouter(prefix="/api/policies", tags=["tools"], responses=problems(401, 403, 404, 422))


async def owned_by(request: Request, who: Identity, organisation_id: uuid.UUID | None) -> uuid.UUID:
    """The organisation, of which the caller is an owner."""
    mine = await own_organisation(request, who, organisation_id or who.organisation_id)
    return (await owned_organisation(mine)).organisation_id


async def _owned_policy(request: Request, policies: ThePolicies, who: Caller, policy_id: uuid.UUID) -> Policy:
    found = await policies.get(policy_id)
    try:
        await owned_by(request, who, found.organisation_id)
    except NotFound as error:
        raise unknown(policy_id) from error
    return found


OwnedPolicy = Annotated[Policy, Depends(_owned_policy)]


@router.get("", operation_id="list_policies")
async def list_policies(
    request: Request,
    policies: ThePolicies,
    who: Caller,
    organisation_id: uuid.UUID | None = None,
    task_id: uuid.UUID | None = None,
) -> PolicyList:
    """The policies of an organisation, the caller's own if none is named. With `task_id` those that came with a task,
    which every member may read."""
    if task_id is not None:
        found = await policies.of_task(who, task_id)
    else:
        found = await policies.all_of(await owned_by(request, who, organisation_id))
    return PolicyList(items=[PolicyOut.model_validate(each) for each in found])


@router.post("", status_code=201, operation_id="create_policy", responses=problems(409))
async def create_policy(request: Request, policies: ThePolicies, who: Caller, new: PolicyCreate) -> PolicyOut:
    """Add a policy; it holds for every call that begins from now on."""
    organisation_id = await owned_by(request, who, new.organisation_id)
    given = new.model_dump(exclude={"organisation_id"})
    return PolicyOut.model_validate(await policies.add(organisation_id, given, who.user_id))


@router.patch("/{policy_id}", operation_id="edit_policy")
async def edit_policy(policies: ThePolicies, policy: OwnedPolicy, changed: PolicyEdit) -> PolicyOut:
    """Change a policy. What was allowed for a task because of it is asked again."""
    return PolicyOut.model_validate(await policies.change(policy.id, changed.model_dump(exclude_unset=True)))


@router.delete("/{policy_id}", status_code=204, operation_id="delete_policy")
async def delete_policy(policies: ThePolicies, policy: OwnedPolicy) -> None:
    """Remove a policy."""
    await policies.remove(policy.id)
