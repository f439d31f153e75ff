"""The boundary to a tool's code: each call on a thread of its own, bounded in seconds and bytes, and total.

So a tool that blocks or hangs holds up nobody; a thread cannot be killed, and one that hangs is left behind.
"""

import asyncio
import inspect
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from pavo.agents.checks import storable
from pavo.agents.raised import described
from pavo.errors import ArtifactError, ToolFailed, Unavailable
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.threads.calls import begin_in_thread
from pavo.tools.contract import UNSAFE, CallState, HappenedUnknown, ToolContext
from pavo.tools.described import Tool

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES: Final = 256_000
"""Of a result as JSON that is kept with its call, and handed to the agent."""
MAX_THREADS: Final = 200
"""Tools at once in a process, those that hang included."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of running a tool."""

    value: Any = None
    error: str | None = None
    remedy: str | None = None
    unknown: bool = False
    """Whether it happened cannot be told."""

    @property
    def state(self) -> CallState:
        """How the call ended."""
        return "unknown" if self.unknown else "done" if self.error is None else "failed"


_running: set[Future[Outcome]] = set()


async def run_tool(
    tool: Tool, arguments: Mapping[str, Any], context: ToolContext, most: int = MAX_RESULT_BYTES
) -> Outcome:
    """Run a tool with checked arguments; whatever it does, this answers within the tool's seconds.

    Args:
        most: bytes of its result as JSON.
    """
    if len(_running) >= MAX_THREADS:
        return Outcome(error=f"{MAX_THREADS} tools run or hang in this worker.", remedy="Repair tools that hang.")
    try:
        # The log of a task is told by a context variable: what the tool prints belongs to it.
        running = begin_in_thread(f"tool {tool.name}", _run, tool, arguments, context, most)
    except RuntimeError as error:
        return Outcome(error=f"This worker has no thread for the tool: {error}.", remedy="Try again later.")
    _running.add(running)
    running.add_done_callback(_running.discard)
    try:
        async with asyncio.timeout(tool.seconds):
            return await asyncio.wrap_future(running)
    except TimeoutError:
        logger.warning("The tool %s did not answer within %g s and is left behind.", tool.name, tool.seconds)
        told = f"The tool {tool.name} did not answer within {tool.seconds:g} s."
        return Outcome(error=told, remedy="Have it do less, or declare more seconds.", unknown=tool.effect == UNSAFE)


def _run(tool: Tool, arguments: Mapping[str, Any], context: ToolContext, most: int) -> Outcome:
    given = dict(arguments)
    if tool.context is not None:
        given[tool.context] = context
    try:
        result = tool.function(**given)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except HappenedUnknown as error:
        return Outcome(error=described(error), unknown=True, remedy="Look whether it happened.")
    except (ToolFailed, ArtifactError, Unavailable) as error:
        return Outcome(error=storable(f"The tool {tool.name} failed: {error.detail}"), remedy=error.remedy)
    except BaseException as error:
        logger.warning("The tool %s failed.", tool.name, exc_info=True)
        return Outcome(error=storable(f"The tool {tool.name} failed: {described(error)}"), remedy="Look at the log.")
    return _kept(tool, result, most)


def _kept(tool: Tool, result: Any, most: int) -> Outcome:
    ran = f"The tool {tool.name} ran, but its result cannot be kept"
    if isinstance(result, str | bytes | bytearray) and len(result) > most:
        return Outcome(error=f"{ran}: it has {len(result):,} bytes.", remedy=f"Answer at most {most:,}.")
    try:
        if isinstance(result, BaseModel):
            result = result.model_dump(mode="json")
        value, size = plain(result)
    except NotStorable as error:
        return Outcome(error=storable(f"{ran}: {error}."), remedy=error.remedy)
    except BaseException as error:  # noqa: BLE001 - of the result's class
        return Outcome(error=storable(f"{ran}: {described(error)}"), remedy="Answer plain JSON.")
    if size > most:
        return Outcome(error=f"{ran}: it has {size:,} bytes.", remedy=f"Answer at most {most:,}.")
    return Outcome(value)
