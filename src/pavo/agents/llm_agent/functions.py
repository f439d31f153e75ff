"""Tools as functions of a model: by names that its API takes, as many as fit, the plan's first."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pavo.agents.calling.request import READ_ARTIFACT
from pavo.agents.contract import JSON

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
"""A function's, in OpenAI's API: another one has the whole request refused."""
MAX_NAME: Final = 64
MAX_FUNCTIONS: Final = 128
"""Of one request, likewise."""
TOOLS_BYTES: Final = 60_000
"""Of all functions: they go with each request."""
DESCRIPTIONS: Final = (1_000, 300, 100)
"""Characters of each description: as many as all tools fit with."""
NAMED: Final = 100
"""Tools that are left out and named to the model."""


@dataclass(frozen=True, slots=True)
class Functions:
    """What a model is given."""

    given: Sequence[JSON]
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """The tool's name by the function's, where they differ."""
    left_out: Sequence[str] = ()
    """Tools that are too many."""


def functions_of(own: Sequence[JSON], tools: Sequence[Mapping[str, Any]], first: Collection[str]) -> Functions:
    """The functions for an agent's own ones and these tools; what reads on is always among them.

    Args:
        first: tools that come before others, by name.
    """
    ranked = sorted(tools, key=lambda each: 0 if each["name"] == READ_ARTIFACT else 1 + (each["name"] not in first))
    names = _names({each["function"]["name"] for each in own}, [each["name"] for each in ranked])
    given: list[JSON] = []
    left_out: list[str] = []
    for characters in DESCRIPTIONS:
        given, left_out, size = [*own], [], 0
        for each in ranked:
            function = _function(names[each["name"]], each, characters)
            size += (more := len(json.dumps(function).encode()))
            if size > TOOLS_BYTES or len(given) == MAX_FUNCTIONS:
                left_out.append(each["name"])
                size -= more
            else:
                given.append(function)
        if not left_out:
            break
    shown = {each["function"]["name"] for each in given}
    renamed = {name: tool for tool, name in names.items() if name != tool and name in shown}
    return Functions(given, renamed, left_out)


def spelled(name: str, *, again: int = 0) -> str:
    """A name that a model's API takes, made of any other one."""
    if NAME.fullmatch(name) and not again:
        return name
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name) or "unnamed"
    digest = hashlib.sha256(f"{again or ''}{name}".encode(errors="replace")).hexdigest()
    return f"{plain[: MAX_NAME - 7]}-{digest[:6]}" if name else plain


def left_out_told(names: Sequence[str]) -> str:
    """What a model is told of tools that it is not given; nothing where there are none."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = ", ".join(f"`{name}`" for name in names[:NAMED])
    return f"There are more tools than you can be given. You cannot call these: {listed}{more}.\n\n"


def _names(taken: set[str], tools: Sequence[str]) -> dict[str, str]:
    """The function's name by the tool's: those that can be as they are come first."""
    found: dict[str, str] = {}
    for tool in sorted(tools, key=lambda each: NAME.fullmatch(each) is None):
        name, again = spelled(tool), 0
        while name in taken:
            again += 1
            name = spelled(tool, again=again)
        taken.add(name)
        found[tool] = name
    return found


def _function(name: str, tool: Mapping[str, Any], characters: int) -> JSON:
    description = str(tool["description"])[:characters]
    told = description if name == tool["name"] else f"{tool['name']}: {description}"
    return {"type": "function", "function": {"name": name, "description": told, "parameters": tool["schema"]}}
