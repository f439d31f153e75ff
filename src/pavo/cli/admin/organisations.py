"""`pavo org`: organisations and invitations."""

from dataclasses import asdict
from typing import Final

from cyclopts import App

from pavo.accounts.domain import OrganisationInfo, Role
from pavo.accounts.organisations.domain import Member
from pavo.cli.admin.operators import DataDir, OrganisationName, connected_operator, local_time
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing

org_app = App(name="org", help="Organisations, their members and roles.", help_epilogue=epilogue("org"))


@org_app.command(name="invite")
async def invite(
    email: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Let somebody join an organisation, which becomes their home: now if known, else on first sight.

    Parameters
    ----------
    email
        Whom to invite.
    """
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        joined = await operator.accounts.invite(organisation_id, email)
    document = {"organisation_id": str(organisation_id), "email": email.strip().lower(), "joined": joined}
    Printer(output).show(document, f"✓ {email} {'is a member now' if joined else 'joins when first seen'}.")


@org_app.command(name="list")
async def list_organisations(*, limit: Limit = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """List organisations with their members and open invitations."""
    async with connected_operator(data_dir) as operator:
        found = await operator.accounts.organisations()
    _ORGANISATIONS.show(output, found, asdict, limit)


_ORGANISATIONS: Final[Listing[OrganisationInfo]] = Listing(
    "organisations",
    {
        "NAME": lambda one: one.name,
        "MEMBERS": lambda one: ", ".join(one.members),
        "INVITED": lambda one: ", ".join(one.invited),
        "ID": lambda one: one.id,
    },
    nothing="There are no organisations yet.",
    command="pavo org list",
)


@org_app.command(name="create")
async def create_organisation(name: str, owner: str, /, *, output: Output = "text", data_dir: DataDir = None) -> None:
    """Create an organisation. Its owner's home stays where it is.

    Parameters
    ----------
    name
        What it is called.
    owner
        E-mail address of its owner, who is made if there is none.
    """
    async with connected_operator(data_dir) as operator:
        who = await operator.accounts.first_sight(owner)
        made = await operator.accounts.organisations_of_members.create(who, name)
    Printer(output).show(asdict(made), f"✓ {made.name} is there, owned by {who.email}: {made.id}")


@org_app.command(name="members")
async def list_members(
    *, limit: Limit = None, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List an organisation's members and their roles, in the order of joining."""
    async with connected_operator(data_dir) as operator:
        found = await operator.accounts.organisations_of_members.members(await operator.organisation(org))
    _MEMBERS.show(output, found, asdict, limit)


_MEMBERS: Final[Listing[Member]] = Listing(
    "members",
    {
        "USER": lambda one: one.email,
        "ROLE": lambda one: one.role,
        "JOINED": lambda one: local_time(one.joined_at),
        "ID": lambda one: one.user_id,
    },
    nothing="It has no members.",
    command="pavo org members",
)


@org_app.command(name="role")
async def change_role(
    email: str, role: Role, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Make a member an owner, or an owner a member; the last owner stays one.

    Parameters
    ----------
    email
        Whose role it is.
    role
        owner or member.
    """
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        members = operator.accounts.organisations_of_members
        user_id = await members.member_named(organisation_id, email)
        changed = await members.change_role(organisation_id, user_id, role)
    Printer(output).show(asdict(changed), f"✓ {changed.email}: {changed.role}")


@org_app.command(name="remove")
async def remove_member(
    email: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Remove a member, but not the last owner; what they have made stays.

    Parameters
    ----------
    email
        Whom to remove.
    """
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        members = operator.accounts.organisations_of_members
        user_id = await members.member_named(organisation_id, email)
        await members.remove_member(organisation_id, user_id)
    document = {"organisation_id": str(organisation_id), "removed": str(user_id)}
    Printer(output).show(document, f"✓ {email} is no member any more.")


give_examples(org_app, "org")
