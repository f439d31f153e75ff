"""What a server lists, as tools of Pavo's: named, described and bounded."""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
from pydantic import BaseModel

from pavo.kit.json_schema import wrong_with
from pavo.observe.printable import printable
from pavo.tools.described import MAX_DESCRIPTION, MAX_NAME, Tool
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.registry import BrokenTool

logger = logging.getLogger(__name__)

BETWEEN: Final = "__"
"""Between the name of a server and that of its tool."""
MAX_SCHEMA_BYTES: Final = 50_000
CONTEXT: Final = "\0context"
"""The name under which the function gets its context: none of a tool's arguments can have it."""
SPARE_SECONDS: Final = 2.0
"""For the boundary around the call, which gives up later than the call itself."""

_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")


class Listed(Protocol):
    """A tool as `mcp` has it."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    annotations: Any


class NoParameters(BaseModel):
    """Its schema is given."""


def name_of(server: str, tool: str) -> str:
    """The name by which agents call it: letters, digits, _ and -, as APIs of models want it."""
    plain = f"{server}{BETWEEN}{_STRANGE.sub('_', tool)}"
    if plain == f"{server}{BETWEEN}{tool}" and len(plain) <= MAX_NAME:
        return plain
    return f"{plain[: MAX_NAME - 7]}-{hashlib.sha256(tool.encode(errors='replace')).hexdigest()[:6]}"


def server_of(name: str) -> str | None:
    """The server that a tool of this name would be of."""
    server, between, _ = name.partition(BETWEEN)
    return server if between else None


def tools_of(
    spec: ServerSpec, listed: Sequence[Listed], calling: Callable[[str], Callable[..., Any]]
) -> Mapping[str, Tool | BrokenTool]:
    """The tools that the operator lets agents have, by name.

    Args:
        calling: the function that calls a tool of the server.
    """
    found: dict[str, Tool | BrokenTool] = {}
    for each in listed:
        name = name_of(spec.name, each.name)
        if not spec.offers(each.name):
            continue
        if name in found:
            logger.warning("MCP server %s lists several tools as %r; the first counts.", spec.name, name)
            continue
        found[name] = _tool(spec, name, each, calling(each.name))
    return found


def _tool(spec: ServerSpec, name: str, listed: Listed, function: Callable[..., Any]) -> Tool | BrokenTool:
    source = f"MCP server {spec.name}"
    wrong = _wrong_with(listed.input_schema)
    if wrong is not None:
        logger.warning("The tool %s of %s cannot be used: %s", name, source, wrong)
        return BrokenTool(name, source, wrong, "Repair that server.")
    hints = listed.annotations
    effect = spec.effect_of(
        listed.name,
        read_only=getattr(hints, "read_only_hint", None),
        idempotent=getattr(hints, "idempotent_hint", None),
    )
    return Tool(
        name,
        printable((listed.description or f"{listed.name} of {source}")[:MAX_DESCRIPTION]),
        effect,
        spec.call_seconds + SPARE_SECONDS,
        NoParameters,
        function,
        CONTEXT,
        source,
        given_schema=listed.input_schema,
    )


def _wrong_with(schema: Mapping[str, Any]) -> str | None:
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        return f"its schema is no JSON: {type(error).__name__}"
    if size > MAX_SCHEMA_BYTES:
        return f"its schema has {size:,} bytes, and {MAX_SCHEMA_BYTES:,} are taken"
    wrong = wrong_with(schema)
    return None if wrong is None else f"its schema is none: {wrong}"
