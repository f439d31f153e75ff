"""What a worker says of its tools, as JSON that builds before and after this one read too."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from pavo.agents.announced.announcement import MAX_SCHEMAS, MAX_TEXT
from pavo.agents.raised import described
from pavo.tools.contract import Effect
from pavo.tools.described import Tool
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import BrokenTool, ToolRegistry


class AnnouncedTool(BaseModel):
    """A tool, as a worker found it."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    """What brought it: a package with its version."""
    error: str | None = None
    """Why it cannot be used; the members below are told of usable ones alone."""
    description: str = ""
    effect: str = "unsafe"
    """As the worker's operator lets it stand."""
    seconds: float = 0.0
    parameters: Mapping[str, Any] | None = None
    """JSON Schema of its arguments; None where it is too long to be announced."""


class ToolsAnnouncement(BaseModel):
    """What one worker has."""

    build: str | None
    """Its build, where it is versioned."""
    tools: Sequence[AnnouncedTool]


def tools_announcement(build: str | None, registry: ToolRegistry, word: OperatorsWord) -> ToolsAnnouncement:
    """Of the tools that this process has, within the bounds; imports them."""
    left, tools = MAX_SCHEMAS, list[AnnouncedTool]()
    for found in registry.all():
        schema = _schema_of(found)
        if isinstance(found, BrokenTool) or isinstance(schema, str):
            error = found.error if isinstance(found, BrokenTool) else f"{schema}"
            tools.append(AnnouncedTool(name=found.name, version=found.distribution, error=error[:MAX_TEXT]))
            continue
        length = len(json.dumps(schema))
        tools.append(announced(found, schema if length <= left else None, word.effect_of(found.name, found.effect)))
        left -= length if length <= left else 0
    return ToolsAnnouncement(build=build, tools=tools)


def _schema_of(found: Tool | BrokenTool) -> dict[str, Any] | str:
    """Or what keeps it from having one."""
    try:
        return {} if isinstance(found, BrokenTool) else dict(found.schema)
    except BaseException as error:  # noqa: BLE001 - of the types that its author wrote
        return f"Its arguments have no schema: {described(error)}"


def announced(tool: Tool, schema: Mapping[str, Any] | None, effect: Effect) -> AnnouncedTool:
    """A usable tool."""
    return AnnouncedTool(
        name=tool.name,
        version=tool.distribution,
        description=tool.description[:MAX_TEXT],
        effect=effect,
        seconds=tool.seconds,
        parameters=schema,
    )
