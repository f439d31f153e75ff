"""The tools that are installed: found by the entry point group `pavo.tools`, imported when first asked for."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Protocol

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
    remedy: str = "Repair or remove that package, then restart Pavo."


class ToolSource(Protocol):
    """Tools that come and go while a worker runs."""

    def settle(self) -> None:
        """Wait, for seconds, until those that are just coming are known."""
        ...

    def all(self) -> Sequence[Tool | BrokenTool]:
        """Those that are known now."""
        ...

    def is_ready(self, name: str) -> bool:
        """Whether `find` waits for nothing."""
        ...

    def find(self, name: str) -> Tool | BrokenTool | None:
        """One tool; may wait for seconds. None: it is none of this source."""
        ...


class ToolRegistry:
    """The tools by name. Build it with `load`; it is cheap until a tool is asked for.

    Args:
        source: further tools; an installed one goes before one of the same name.
    """

    def __init__(self, points: Mapping[str, Sequence[EntryPoint]], source: ToolSource | None = None) -> None:
        self._points = points
        self._source = source
        self._described: dict[str, Tool | BrokenTool] = {}

    @classmethod
    def load(cls, source: ToolSource | None = None) -> "ToolRegistry":
        """Read which tools are installed, without importing them."""
        return cls(declared(GROUP), source)

    def all(self) -> Sequence[Tool | BrokenTool]:
        """All tools by name, also broken ones; imports them, and may take seconds."""
        if self._source is not None:
            self._source.settle()
        found = {each.name: each for each in self._source.all()} if self._source else {}
        return [
            self._describe(name) if name in self._points else found[name] for name in sorted({*found, *self._points})
        ]

    def is_ready(self, name: str) -> bool:
        """Whether `get` imports nothing."""
        if name in self._points:
            return name in self._described
        return self._source is None or self._source.is_ready(name)

    def get(self, name: str) -> Tool:
        """One tool.

        Raises:
            NotFound: there is none of this name, or it is broken.
        """
        if name in self._points:
            found = self._describe(name)
        else:
            found = None if self._source is None else self._source.find(name)
        if found is None:
            raise self._unknown(name)
        if isinstance(found, BrokenTool):
            told = f"The tool {name!r} of {found.distribution} cannot be loaded: {found.error}"
            raise NotFound(told, field="tool", remedy=found.remedy)
        return found

    def _unknown(self, name: str) -> NotFound:
        names = [*self._points, *(each.name for each in (self._source.all() if self._source else ()))]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        known = ", ".join(sorted(names)) or "none"
        return NotFound(f"There is no tool {name[:100]!r}.", field="tool", remedy=f"{hint}Known tools: {known[:500]}.")

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
