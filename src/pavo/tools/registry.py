"""The tools that are installed: found by the entry point group `pavo.tools`, imported when first asked for."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from pavo.agents.raised import described
from pavo.agents.registry import declared, distribution_of
from pavo.errors import NotFound
from pavo.tools.described import Tool, tool_of

logger = logging.getLogger(__name__)

GROUP = "pavo.tools"


@dataclass(frozen=True, slots=True)
class BrokenTool:
    """An installed tool that cannot be used, and why."""

    name: str
    distribution: str
    error: str


class ToolRegistry:
    """The tools by name. Build it with `load`; it is cheap until a tool is asked for."""

    def __init__(self, points: Mapping[str, Sequence[EntryPoint]]) -> None:
        self._points = points
        self._described: dict[str, Tool | BrokenTool] = {}

    @classmethod
    def load(cls) -> "ToolRegistry":
        """Read which tools are installed, without importing them."""
        return cls(declared(GROUP))

    def all(self) -> Sequence[Tool | BrokenTool]:
        """All tools by name, also broken ones; imports them."""
        return [self._describe(name) for name in sorted(self._points)]

    def is_ready(self, name: str) -> bool:
        """Whether `get` imports nothing."""
        return name in self._described or name not in self._points

    def get(self, name: str) -> Tool:
        """One tool.

        Raises:
            NotFound: there is none of this name, or it is broken.
        """
        if name not in self._points:
            near = difflib.get_close_matches(name, self._points, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            known = ", ".join(sorted(self._points)) or "none"
            raise NotFound(
                f"There is no tool {name[:100]!r}.", field="tool", remedy=f"{hint}Known tools: {known[:500]}."
            )
        found = self._describe(name)
        if isinstance(found, BrokenTool):
            raise NotFound(
                f"The tool {name!r} of {found.distribution} cannot be loaded: {found.error}",
                field="tool",
                remedy="Repair or remove that package, then restart Pavo.",
            )
        return found

    def _describe(self, name: str) -> Tool | BrokenTool:
        if name not in self._described:
            self._described[name] = _found(name, self._points[name])
        return self._described[name]


def _found(name: str, points: Sequence[EntryPoint]) -> Tool | BrokenTool:
    sources = ", ".join(map(distribution_of, points))
    if len(points) > 1:
        return BrokenTool(name, sources, "several packages declare a tool of this name.")
    try:
        return tool_of(name, points[0].load(), sources)
    except BaseException as error:  # whatever importing it does
        logger.exception("The tool %r of %s cannot be loaded.", name, sources)
        return BrokenTool(name, sources, described(error))
