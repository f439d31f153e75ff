"""`pavo endpoint`: an organisation's own endpoints of models. No command takes or shows a key: it is a secret's."""

from dataclasses import asdict
from typing import Final

from cyclopts import App

from pavo.cli.admin.operators import DataDir, OrganisationName, connected_operator, local_time
from pavo.cli.admin.secrets import OPERATOR
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing
from pavo.llm.named.domain import EndpointValues, NamedEndpoint

endpoint_app = App(
    name="endpoint",
    help="Where an organisation's models are asked, under names that tasks choose.",
    help_epilogue=epilogue("endpoint"),
)


@endpoint_app.command(name="set")
async def set_endpoint(
    name: str,
    /,
    *,
    url: str,
    model: str | None = None,
    secret: str | None = None,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Set an endpoint, new or not; it holds for every call that begins from now on.

    Parameters
    ----------
    name
        As tasks name it, for example work.
    url
        Base URL of an OpenAI-compatible server, https://… at a public address.
    model
        Asked where a task names none.
    secret
        Name of the organisation's secret that is sent as the key; default: none is sent.
    """
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        found = await operator.endpoints.set(organisation_id, name, EndpointValues(url, model, secret))
    told = f"✓ {found.name} is set: {found.base_url}. Tasks name it by --option endpoint={found.name}."
    Printer(output).show(asdict(found), told)


@endpoint_app.command(name="list")
async def list_endpoints(
    *, limit: Limit = None, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List an organisation's endpoints."""
    async with connected_operator(data_dir) as operator:
        found = await operator.endpoints.all_of(await operator.organisation(org))
    _ENDPOINTS.show(output, found, asdict, limit)


_ENDPOINTS: Final[Listing[NamedEndpoint]] = Listing(
    "endpoints",
    {
        "NAME": lambda one: one.name,
        "URL": lambda one: one.base_url,
        "MODEL": lambda one: one.model or "",
        "SECRET": lambda one: one.secret or "",
        "SET": lambda one: local_time(one.set_at),
        "BY": lambda one: one.set_by or OPERATOR,
    },
    nothing="There are no endpoints. Set one: pavo endpoint set NAME --url URL",
    command="pavo endpoint list",
)


@endpoint_app.command(name="show")
async def show_endpoint(
    name: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Show an endpoint.

    Parameters
    ----------
    name
        As `pavo endpoint list` shows it.
    """
    async with connected_operator(data_dir) as operator:
        found = await operator.endpoints.get(await operator.organisation(org), name)
    lines = (
        ("name", found.name),
        ("url", found.base_url),
        ("model", found.model or "none: tasks name one"),
        ("secret", found.secret or "none"),
        ("set", f"{local_time(found.set_at)} by {found.set_by or OPERATOR}"),
    )
    Printer(output).show(asdict(found), "\n".join(f"{name:<7} {value}" for name, value in lines))


@endpoint_app.command(name="remove")
async def remove_endpoint(
    name: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Remove an endpoint; tasks that name it fail, and say so.

    Parameters
    ----------
    name
        As `pavo endpoint list` shows it.
    """
    async with connected_operator(data_dir) as operator:
        await operator.endpoints.remove(await operator.organisation(org), name)
    Printer(output).show({"removed": name}, f"✓ {name} is removed.")


give_examples(endpoint_app, "endpoint")
