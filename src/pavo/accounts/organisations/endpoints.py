"""HTTP of organisations, their members and invitations: parse, call one service method, return."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pavo.accounts.dependencies import Caller, OwnedOrganisation, OwnOrganisation, TheOrganisations
from pavo.accounts.organisations.schemas import (
    InvitationCreate,
    InvitationList,
    InvitationOut,
    LinkAccept,
    MemberEdit,
    MemberList,
    MemberOut,
    NewInvitationOut,
    OrganisationIn,
    OrganisationList,
    OrganisationOut,
)
from pavo.errors import Forbidden
from pavo.kit.problem import problems

router = APIRouter(tags=["organisations"], responses=problems(401, 422))
HERE = "/api/organisations/{organisation_id}"


@router.get("/api/organisations", operation_id="list_organisations")
async def list_organisations(organisations: TheOrganisations, who: Caller) -> OrganisationList:
    """Your organisations, in the order in which you joined them."""
    found = await organisations.mine(who)
    return OrganisationList(items=[OrganisationOut.model_validate(each) for each in found])


@router.post("/api/organisations", status_code=201, operation_id="create_organisation", responses=problems(409))
async def create_organisation(organisations: TheOrganisations, who: Caller, new: OrganisationIn) -> OrganisationOut:
    """Create an organisation that you own. Your home stays where it is."""
    return OrganisationOut.model_validate(await organisations.create(who, new.name))


@router.get(HERE, operation_id="get_organisation", responses=problems(404))
async def get_organisation(organisations: TheOrganisations, mine: OwnOrganisation) -> OrganisationOut:
    """One of your organisations."""
    return OrganisationOut.model_validate(await organisations.get(mine))


@router.patch(HERE, operation_id="edit_organisation", responses=problems(404))
async def edit_organisation(
    organisations: TheOrganisations, owner: OwnedOrganisation, changed: OrganisationIn
) -> OrganisationOut:
    """Give it another name. For owners."""
    return OrganisationOut.model_validate(await organisations.rename(owner, changed.name))


@router.put(f"{HERE}/home", status_code=204, operation_id="choose_home", responses=problems(404))
async def choose_home(organisations: TheOrganisations, mine: OwnOrganisation) -> None:
    """What you create from now on belongs to this organisation."""
    await organisations.make_home(mine)


@router.get(f"{HERE}/members", operation_id="list_members", responses=problems(404))
async def list_members(
    organisations: TheOrganisations,
    mine: OwnOrganisation,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
) -> MemberList:
    """The members, in the order of joining."""
    page = await organisations.member_page(mine.organisation_id, cursor, limit)
    items = [MemberOut.model_validate(each) for each in page.items]
    return MemberList(items=items, next_cursor=page.next_cursor)


@router.patch(f"{HERE}/members/{{user_id}}", operation_id="edit_member", responses=problems(404, 409))
async def edit_member(
    organisations: TheOrganisations, owner: OwnedOrganisation, user_id: uuid.UUID, changed: MemberEdit
) -> MemberOut:
    """Change a member's role. For owners; the last owner stays one."""
    return MemberOut.model_validate(await organisations.change_role(owner.organisation_id, user_id, changed.role))


@router.delete(
    f"{HERE}/members/{{user_id}}", status_code=204, operation_id="remove_member", responses=problems(404, 409)
)
async def remove_member(organisations: TheOrganisations, mine: OwnOrganisation, user_id: uuid.UUID) -> None:
    """Remove a member, for owners; or leave, for everybody but the last owner."""
    if mine.role != "owner" and user_id != mine.user_id:
        raise Forbidden("Only owners of the organisation remove others.", remedy="Ask an owner to do it.")
    await organisations.remove_member(mine.organisation_id, user_id)


@router.get(f"{HERE}/invitations", operation_id="list_invitations", responses=problems(404))
async def list_invitations(organisations: TheOrganisations, owner: OwnedOrganisation) -> InvitationList:
    """Open invitations, the expired among them. For owners."""
    found = await organisations.invitations(owner.organisation_id)
    return InvitationList(items=[InvitationOut.model_validate(each) for each in found])


@router.post(
    f"{HERE}/invitations",
    status_code=201,
    operation_id="create_invitation",
    responses={
        200: {"model": NewInvitationOut, "description": "The address was invited already; it has more time now."},
        **problems(404, 409),
    },
)
async def create_invitation(
    organisations: TheOrganisations, owner: OwnedOrganisation, response: Response, new: InvitationCreate
) -> NewInvitationOut:
    """Invite an address, or make a link for one person. For owners. Who is invited joins by accepting."""
    lasts = timedelta(seconds=new.expires_in_seconds)
    made = await organisations.invite(owner, new.email, role=new.role, lasts=lasts)
    if not made.created:
        response.status_code = 200
    shown = InvitationOut.model_validate(made.invitation)
    return NewInvitationOut(**shown.model_dump(), secret=made.secret)


@router.delete(
    f"{HERE}/invitations/{{invitation_id}}",
    status_code=204,
    operation_id="withdraw_invitation",
    responses=problems(404),
)
async def withdraw_invitation(
    organisations: TheOrganisations, owner: OwnedOrganisation, invitation_id: uuid.UUID
) -> None:
    """Withdraw an invitation that nobody has accepted. For owners."""
    await organisations.withdraw(owner.organisation_id, invitation_id)


@router.get("/api/invitations", operation_id="list_own_invitations")
async def list_own_invitations(organisations: TheOrganisations, who: Caller) -> InvitationList:
    """What you are invited to, by your address."""
    found = await organisations.invitations_for(who)
    return InvitationList(items=[InvitationOut.model_validate(each) for each in found])


@router.post("/api/invitations/accept", operation_id="accept_link", responses=problems(404, 409))
async def accept_link(organisations: TheOrganisations, who: Caller, link: LinkAccept) -> OrganisationOut:
    """Join by the secret of a link. Done twice it changes nothing more."""
    return OrganisationOut.model_validate(await organisations.accept_link(who, link.secret))


@router.post("/api/invitations/{invitation_id}/accept", operation_id="accept_invitation", responses=problems(404, 409))
async def accept_invitation(organisations: TheOrganisations, who: Caller, invitation_id: uuid.UUID) -> OrganisationOut:
    """Join by an invitation of your address. Done twice it changes nothing more."""
    return OrganisationOut.model_validate(await organisations.accept(who, invitation_id))


@router.post(
    "/api/invitations/{invitation_id}/decline",
    status_code=204,
    operation_id="decline_invitation",
    responses=problems(404),
)
async def decline_invitation(organisations: TheOrganisations, who: Caller, invitation_id: uuid.UUID) -> None:
    """Refuse an invitation of your address."""
    await organisations.decline(who, invitation_id)
