"""`pavo tools`: which tools the workers have, and trying one."""

import asyncio
import json
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.api_client import ApiClient
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import Approved, Url
from pavo.cli.table import table
from pavo.cli.task.run_options import options_of
from pavo.errors import InvalidInput, NotFound, ToolFailed
from pavo.observe.printable import printable, printable_line
from pavo.tools.announced.schemas import ToolList, ToolOut

if TYPE_CHECKING:
    from pavo.tools.described import Tool
    from pavo.tools.registry import ToolRegistry
    from pavo.tools.running import Outcome

tools_app = App(name="tools", help="The tools that agents may call.", help_epilogue=epilogue("tools"))

NOBODYS: Final = uuid.UUID(int=0)
"""The task and the organisation of a call that belongs to none."""


@tools_app.command(name="list")
def list_tools(*, url: Url = None, output: Output = "text") -> None:
    """List the tools that the live workers have, what calling them counts as, and what is wrong with them."""
    with ApiClient.from_environment(url) as api:
        found = api.ask(ToolList, "GET", "/api/tools")
    Printer(output).show(found, lambda: _print_tools(found))


def _print_tools(found: ToolList) -> None:
    rows = [
        (each.name, each.counts_as, each.health, _count(each), each.version, _first_line(each.description))
        for each in found.items
    ]
    table(("NAME", "EFFECT", "HEALTH", "WORKERS", "PACKAGE", "DESCRIPTION"), rows, nothing="No worker has a tool.")
    for each in found.items:
        if each.detail:
            line = f"{each.name}: {each.detail}"
            console().print(Text(printable_line(line), style="yellow"), soft_wrap=True)
    if found.detail:
        say(found.detail)


def _count(tool: ToolOut) -> str:
    return "?" if tool.workers is None else str(tool.workers)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


@tools_app.command
def show(tool: str, /, *, url: Url = None, output: Output = "text") -> None:
    """Show a tool and its arguments, as the workers have it.

    Parameters
    ----------
    tool
        Its name.
    """
    with ApiClient.from_environment(url) as api:
        found = api.ask(ToolList, "GET", "/api/tools")
    one = next((each for each in found.items if each.name == tool), None)
    if one is None:
        raise NotFound(f"No worker has a tool {tool!r}.", field="TOOL", remedy="See: pavo tools list")
    Printer(output).show(one, lambda: _print_tool(one))


def _print_tool(tool: ToolOut) -> None:
    console().print(Text(printable_line(tool.name), style="bold"))
    say(printable(tool.description))
    effect = tool.effect if tool.counts_as == tool.effect else f"{tool.effect}; here it counts as {tool.counts_as}"
    for label, value in (
        ("effect", effect),
        ("package", tool.version),
        ("health", f"{tool.health}: {tool.detail}" if tool.detail else tool.health),
        ("workers", _count(tool)),
        ("runs at most", f"{tool.seconds:g} s"),
    ):
        say(f"  {label:<14} {printable_line(value)}")
    table(("ARGUMENT", "TYPE", "NEEDED", "DESCRIPTION"), _arguments(tool), nothing="  It takes no arguments.")


def _arguments(tool: ToolOut) -> list[tuple[str, str, str, str]]:
    schema: Mapping[str, Any] = tool.parameters or {}
    needed = set(schema.get("required", []))
    properties = cast(Mapping[str, Any], schema.get("properties", {}))
    return [
        (name, _type(each), "yes" if name in needed else "", str(each.get("description", "")))
        for name, each in properties.items()
    ]


def _type(described: Mapping[str, Any]) -> str:
    return str(described["type"]) if "type" in described else json.dumps(described)[:60]


@tools_app.command
def call(
    tool: str,
    /,
    *,
    arg: Annotated[Sequence[str], Parameter(negative="", show_default=False)] = (),
    args: str | None = None,
    yes: Approved = False,
    output: Output = "text",
) -> None:
    """Try a tool that is installed here: in this process, outside of tasks. Nothing is recorded, no policy is asked.

    One of an MCP server is called by a connection of its own, to the server as PAVO_MCP_CONFIG names it here. One that
    is unsafe runs only once you say so.

    Parameters
    ----------
    tool
        Its name.
    arg
        NAME=VALUE, the value in JSON or as text; may be repeated.
    args
        All of them as a JSON object.
    """
    with _tools_here(tool) as tools:
        outcome, found = _tried(tools.get(tool), _given(arg, args), approved=yes)
    if outcome.error is not None:
        raise ToolFailed(outcome.error, remedy=outcome.remedy)
    Printer(output).show({"tool": found.name, "result": outcome.value}, lambda: say(_shown(outcome.value)))


@contextmanager
def _tools_here(tool: str) -> "Generator[ToolRegistry]":
    """The tools that are installed here; of the MCP servers of `PAVO_MCP_CONFIG` the one that would have this tool."""
    # Imported here: a client alone has nothing that runs tools.
    from pavo.config import load
    from pavo.tools.mcp.offered import server_of
    from pavo.tools.mcp.servers_file import read_servers
    from pavo.tools.registry import ToolRegistry

    named, file = server_of(tool), load().tools.mcp_config
    specs = [] if named is None or file is None else [each for each in read_servers(file) if each.name == named]
    if not specs:
        yield ToolRegistry.load()
        return
    from pavo.tools.mcp.servers import McpServers

    servers = McpServers(specs)
    servers.start()
    try:
        yield ToolRegistry.load(servers)
    finally:
        servers.close()


def _tried(found: "Tool", arguments: Mapping[str, Any], *, approved: bool) -> "tuple[Outcome, Tool]":
    from pavo.tools.arguments import WrongArguments
    from pavo.tools.contract import UNSAFE, ToolContext
    from pavo.tools.running import run_tool, understood

    try:
        given = asyncio.run(understood(found, arguments)).arguments
    except WrongArguments as error:
        raise InvalidInput(f"{error}.", field="--arg", remedy=f"It takes: {json.dumps(dict(found.schema))}") from error
    _say_first(f"{found.name} of {found.distribution} runs here, outside of tasks: its effect is {found.effect}.")
    if found.effect == UNSAFE and not confirm(
        f"Call {found.name}? It may do what cannot be undone.", approved=approved
    ):
        raise ToolFailed(f"{found.name} was not called.", remedy="Say yes, or pass --yes.")
    return asyncio.run(run_tool(found, given, ToolContext(str(uuid.uuid4()), NOBODYS, NOBODYS))), found


def _say_first(line: str) -> None:
    say(printable_line(line), to=console(stderr=True))


def _given(pairs: Sequence[str], whole: str | None) -> Mapping[str, Any]:
    if whole is None:
        return options_of(pairs)
    if pairs:
        raise InvalidInput("Give --arg or --args.", field="--args", remedy="One of them says all.")
    try:
        found = json.loads(whole)
    except ValueError as error:
        raise InvalidInput(f"This is no JSON: {error}.", field="--args", remedy="Give an object, in quotes.") from error
    if not isinstance(found, dict):
        raise InvalidInput("This is no object.", field="--args", remedy="Give the arguments by their names.")
    return cast("dict[str, Any]", found)


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))


@tools_app.command
def effect(
    tool: str,
    effect: Annotated[str | None, Parameter(help="read, idempotent or unsafe; none takes the word back.")] = None,
    /,
    *,
    org: Annotated[uuid.UUID | None, Parameter(help="The organisation's id. Default: your own.")] = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Say what calling a tool counts as in your organisation: it makes the tool's own word stricter, never looser.

    Parameters
    ----------
    tool
        Its name.
    """
    whose = {} if org is None else {"organisation_id": str(org)}
    path = f"/api/tools/{tool}/effect"
    with ApiClient.from_environment(url) as api:
        if effect is None:
            api.repeat("DELETE", path, params=whose)
        else:
            api.repeat("PUT", path, json={"effect": effect, **whose})
    told = "as it says itself" if effect is None else f"as {effect} at least"
    Printer(output).show({"tool": tool, "effect": effect}, f"✓ {printable_line(tool)} counts {told}.")


give_examples(tools_app, "tools")
