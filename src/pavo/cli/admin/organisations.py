"""`pavo org`: organisations and invitations."""

from dataclasses import asdict

from cyclopts import App

from pavo.cli.admin.operators import DataDir, OrganisationName, connected_operator
from pavo.cli.help_epilogue import epilogue
from pavo.cli.output import Output, Printer, table

org_app = App(name="org", help="Organisations: invite somebody, list them.", help_epilogue=epilogue("org"))


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
async def list_organisations(*, output: Output = "text", data_dir: DataDir = None) -> None:
    """List organisations with their members and open invitations."""
    async with connected_operator(data_dir) as operator:
        found = await operator.accounts.organisations()
    columns = ("NAME", "MEMBERS", "INVITED", "ID")
    rows = [(one.name, ", ".join(one.members), ", ".join(one.invited), str(one.id)) for one in found]
    Printer(output).show(
        {"organisations": [asdict(one) for one in found]},
        lambda: table(columns, rows, fold=True, nothing="There are no organisations yet."),
    )
