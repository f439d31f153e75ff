"""`pavo flow publish`, `list`, `versions`, `diff`, `rollback` and `deprecate`: an organisation's flows at an API."""

from typing import Annotated, Final

from cyclopts import Parameter

from pavo.cli.flow.client import FlowClient
from pavo.cli.flow.files import File, read_file
from pavo.cli.jobs.moments import local_time
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import Limit, OrganisationId, Url
from pavo.cli.table import Listing
from pavo.errors import InvalidInput
from pavo.flows.published.schemas import FlowDifferenceOut, FlowVersionOut, ListedFlow, PublishedOut

Name = Annotated[str, Parameter(name="FLOW", help="The flow's name.")]
Number = Annotated[int, Parameter(name="VERSION", help="Number of the version; see: pavo flow versions")]
Reason = Annotated[str, Parameter(help="For people: why.")]


def publish(
    file: File,
    /,
    *,
    reason: Reason = "",
    accept: Annotated[
        str | None, Parameter(help="The hash that you have looked at: a file that says something else is refused.")
    ] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Publish a flow: it becomes the next version of its name, and the current one. What is published already keeps
    its number, and changes nothing."""
    try:
        text = read_file(file).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not in UTF-8.", field="file", remedy="Save it in UTF-8.") from error
    with FlowClient.from_environment(url, org) as client:
        found = client.publish(text, reason, accept)
    Printer(output).show(found, lambda: _tell_published(found))


def _tell_published(found: PublishedOut) -> None:
    say(f"{found.name}: version {found.number}{'' if found.current else ', which is not the current one'}")
    if found.deprecated_at is not None:
        say(f"It is deprecated: {found.deprecated_reason}")
    for each in found.unchecked:
        say(f"Not looked up: {each.names.replace('_', ' ')}. {each.reason}")


def list_flows(
    *,
    q: Annotated[str | None, Parameter(help="A part of the name.")] = None,
    deprecated: Annotated[bool | None, Parameter(help="Those whose current version is deprecated, or is not.")] = None,
    limit: Limit = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """List published flows, the one that was published last first."""
    chosen = {name: value for name, value in (("q", q), ("deprecated", deprecated)) if value is not None}
    with FlowClient.from_environment(url, org) as client:
        found = client.flows(chosen, limit)
    _FLOWS.show(output, found, lambda one: one, limit)


def versions(
    name: Name, /, *, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """List a flow's versions, the newest first."""
    with FlowClient.from_environment(url, org) as client:
        found = [*client.versions(name)]
    _VERSIONS.show(output, found, lambda one: one, limit)


def diff(
    name: Name,
    before: Annotated[int, Parameter(name="FROM", help="Number of a version.")],
    after: Annotated[int, Parameter(name="TO", help="Number of another one.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show what differs between two versions of a flow."""
    with FlowClient.from_environment(url, org) as client:
        found = client.compare(name, before, after)
    Printer(output).show(found, lambda: _tell_difference(found))


def _tell_difference(found: FlowDifferenceOut) -> None:
    if not found.text and not found.moved:
        say("They say the same.")
        return
    changed = [each.step for each in found.changed]
    for what, steps in (("Added", found.added), ("Removed", found.removed), ("Changed", changed)):
        if steps:
            say(f"{what}: {', '.join(steps)}")
    if found.moved:
        say("The steps stand in another order.")
    for line in found.text.splitlines():
        say(line)
    if found.cut:
        say("… and more, which is too long to be shown.")


def rollback(
    name: Name,
    number: Number,
    /,
    *,
    reason: Reason = "",
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Make a version that is there the current one: runs that name none execute it. Runs in progress go on with
    theirs."""
    with FlowClient.from_environment(url, org) as client:
        found = client.roll_back(name, number, reason)
    Printer(output).show(found, f"{name}: version {number} is the current one.")


def deprecate(
    name: Name,
    number: Number,
    reason: Annotated[str | None, Parameter(help="Told to whoever tries to run it.")] = None,
    /,
    *,
    undo: Annotated[bool, Parameter(negative=(), help="Let new runs begin again.")] = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Have no new run of a version. Runs in progress go on."""
    if undo == (reason is not None):
        raise InvalidInput("Give a reason, or --undo.", field="reason", remedy="See: pavo flow deprecate --help")
    with FlowClient.from_environment(url, org) as client:
        found = client.deprecate(name, number, reason)
    told = "begins new runs again" if undo else "begins no new runs"
    Printer(output).show(found, f"{name}: version {number} {told}.")


def _state(one: FlowVersionOut) -> str:
    return f"deprecated: {one.deprecated_reason}" if one.deprecated_at is not None else ""


_FLOWS: Final[Listing[ListedFlow]] = Listing(
    "flows",
    {
        "FLOW": lambda one: one.name,
        "VERSION": lambda one: str(one.number) if one.number == one.newest else f"{one.number} of {one.newest}",
        "PUBLISHED": lambda one: local_time(one.published_at),
        "BY": lambda one: one.published_by or "",
        "STATE": _state,
    },
    nothing="No flow is published. Publish one: pavo flow publish FILE",
    command="pavo flow list",
)
_VERSIONS: Final[Listing[FlowVersionOut]] = Listing(
    "versions",
    {
        "VERSION": lambda one: str(one.number),
        "CURRENT": lambda one: "current" if one.current else "",
        "HASH": lambda one: one.hash[:12],
        "PUBLISHED": lambda one: local_time(one.published_at),
        "BY": lambda one: one.published_by or "",
        "STATE": _state,
    },
    nothing="There are no versions.",
    command="pavo flow versions FLOW",
)
