"""The boundary to a tool's code: each call on a thread of its own, bounded in seconds and bytes, and total.

So a tool that blocks or hangs holds up nobody; a thread cannot be killed, and one that hangs is left behind.
"""

import asyncio
import inspect
import logging
import uuid
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from pavo.agents.calling.functions import MAX_RESULT_BYTES
from pavo.agents.calling.functions import Outcome as Outcome
from pavo.agents.checks import storable
from pavo.agents.raised import described, said_by, traceback_of
from pavo.errors import ArtifactError, PavoError, ToolFailed, Unavailable
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.threads.calls import begin_in_thread
from pavo.tools.arguments import Understood, WrongArguments, watched
from pavo.tools.contract import UNSAFE, HappenedUnknown, ToolContext
from pavo.tools.described import Tool
from pavo.tools.places import NO_PLACE, NOBODYS, PLACES, Place

logger = logging.getLogger(__name__)


async def run_tool(
    tool: Tool,
    arguments: Mapping[str, Any],
    context: ToolContext,
    most: int = MAX_RESULT_BYTES,
    place: Place | None = None,
) -> Outcome:
    """Run a tool with checked arguments; whatever it does, this answers within the tool's seconds.

    Args:
        most: bytes of its result as JSON.
        place: taken before for this call; default: one that is taken now.
    """
    try:
        place = place or PLACES.take(tool.name)
    except Unavailable as full:
        return Outcome(error=full.detail, remedy=full.remedy)
    try:
        # The log of a task is told by a context variable: what the tool prints belongs to it.
        running = begin_in_thread(f"tool {tool.name}", _run, tool, arguments, context, most)
    except RuntimeError as error:
        place.give_back()
        return Outcome(error=f"This worker has no thread for the tool: {error}.", remedy="Try again later.")
    place.begun(running)
    try:
        async with asyncio.timeout(tool.seconds):
            return await asyncio.wrap_future(running)
    except TimeoutError:
        place.left_behind()
        logger.warning("%s did not answer within %g s and is left behind.", tool.label, tool.seconds)
        return _too_long(tool)


async def understood(tool: Tool, arguments: Mapping[str, Any], organisation: uuid.UUID = NOBODYS) -> Understood:
    """What the tool takes of arguments, checked once; on a thread of its own where that calls foreign code.

    Raises:
        WrongArguments: they do not fit, or could not be checked within the tool's seconds.
        Unavailable: there is no place for that.
    """
    if tool.is_quick:
        return tool.understood(arguments)
    checked, place = watched(), PLACES.take(tool.name, organisation)
    try:
        running = begin_in_thread(f"arguments of tool {tool.name}", tool.understood, arguments)
    except RuntimeError as error:
        place.give_back()
        raise Unavailable(f"No thread to check arguments: {error}.", dependency=NO_PLACE) from error
    place.begun(running)
    try:
        async with asyncio.timeout(tool.seconds):
            return await asyncio.wrap_future(running)
    except TimeoutError as error:
        place.left_behind()
        logger.warning("%s did not check %s within %g s and is left behind.", tool.label, checked.path, tool.seconds)
        raise WrongArguments(f"{checked.path}: its own check did not end within {tool.seconds:g} s") from error


async def run_on_this_loop(tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
    """The same for a coroutine function that belongs to the calling event loop, as an agent's own does."""
    limit = asyncio.timeout(tool.seconds)
    try:
        async with limit:
            result = await tool.function(**_given(tool, arguments, context))
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return _too_long(tool) if limit.expired() else _failed(tool, error)
    return _kept(tool, result, MAX_RESULT_BYTES)


def _given(tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
    return dict(arguments) if tool.context is None else {**arguments, tool.context: context}


def _too_long(tool: Tool) -> Outcome:
    told = f"{tool.label} did not answer within {tool.seconds:g} s."
    return Outcome(error=told, remedy="Have it do less, or declare more seconds.", unknown=tool.effect == UNSAFE)


def _failed(tool: Tool, error: BaseException) -> Outcome:
    kind = type(error)
    if issubclass(kind, HappenedUnknown):
        return Outcome(error=described(error), unknown=True, remedy="Look whether it happened.")
    if issubclass(kind, ToolFailed | ArtifactError | Unavailable):
        detail, remedy = said_by(cast(PavoError, error))
        return Outcome(error=storable(f"{tool.label} failed: {detail}"), remedy=remedy)
    logger.warning("%s failed.\n%s", tool.label, traceback_of(error))
    return Outcome(error=storable(f"{tool.label} failed: {described(error)}"), remedy="Look at the log.")


def _run(tool: Tool, arguments: Mapping[str, Any], context: ToolContext, most: int) -> Outcome:
    try:
        result = tool.function(**_given(tool, arguments, context))
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except BaseException as error:  # noqa: BLE001 - told as the call's outcome
        return _failed(tool, error)
    return _kept(tool, result, most)


def _kept(tool: Tool, result: Any, most: int) -> Outcome:
    ran = f"{tool.label} ran, but its result cannot be kept"
    try:
        size = _length(result)
        if size <= most:
            if isinstance(result, BaseModel):
                result = result.model_dump(mode="json")
            result, size = plain(result)
    except NotStorable as error:
        return Outcome(error=storable(f"{ran}: {error}."), remedy=error.remedy)
    except BaseException as error:  # noqa: BLE001 - of the result's class
        return Outcome(error=storable(f"{ran}: {described(error)}"), remedy="Answer plain JSON.")
    if size > most:
        return Outcome(error=f"{ran}: it has {size:,} bytes.", remedy=f"Answer at most {most:,}.")
    return Outcome(result)


def _length(result: Any) -> int:
    """What can be told at once of how large it is, whatever its class says."""
    own = next((kind for kind in (str, bytes, bytearray) if issubclass(type(result), kind)), None)
    return 0 if own is None else own.__len__(result)
