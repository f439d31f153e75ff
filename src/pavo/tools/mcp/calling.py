"""What is asked of a server: its tools, and calls. What a call's failure means for its effect is decided here."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

from pavo.agents.checks import storable
from pavo.errors import ToolFailed
from pavo.observe.printable import printable_line
from pavo.tools.contract import HappenedUnknown
from pavo.tools.mcp.transport import ANSWER_TOO_LARGE, CALL_META, Transport

MAX_PAGES: Final = 50
MAX_TOOLS: Final = 500
"""Of one server."""
ERROR_CHARACTERS: Final = 2_000
ENDED_SESSION: Final = "Session terminated"
"""What the client of `mcp` makes of status 404: the server does not know the session, so it has done nothing."""


class NotSent(Exception):
    """The call certainly did not reach the server: it may be made again."""


async def list_tools(session: ClientSession) -> Sequence[Tool]:
    """All tools of the server.

    Raises:
        ToolFailed: it has more than is taken.
    """
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
        found += page.tools
        cursor = page.next_cursor
        if len(found) > MAX_TOOLS:
            raise ToolFailed(f"It lists more than {MAX_TOOLS} tools.")
        if not cursor:
            return found
    raise ToolFailed(f"Its list of tools has more than {MAX_PAGES} pages.")


async def call_tool(
    session: ClientSession,
    transport: Transport,
    tool: str,
    arguments: Mapping[str, Any],
    key: str,
    seconds: float,
) -> Any:
    """What a call answered, as JSON: the structured result where there is one, else the text, else the blocks.

    Raises:
        ToolFailed: the server says that it failed, or it answered more than is taken.
        NotSent: it was not sent.
        HappenedUnknown: anything else: it may have happened.
    """
    params = CallToolRequestParams(name=tool, arguments=dict(arguments), _meta={CALL_META: key})
    try:
        async with asyncio.timeout(seconds):
            # Not `session.call_tool`: it holds the result against the tool's schema, and fails after the fact.
            result = await session.send_request(CallToolRequest(params=params), CallToolResult)
    except TimeoutError as error:
        raise HappenedUnknown(f"The server did not answer within {round(seconds, 1):g} s.") from error
    except MCPError as error:
        raise _meaning_of(error, transport, key) from error
    except Exception as error:
        raise HappenedUnknown(f"What the server answered is no result: {type(error).__name__}.") from error
    if result.is_error:
        raise ToolFailed(_text_of(result) or "The server says that it failed, and not why.")
    return _value_of(result)


def _meaning_of(error: MCPError, transport: Transport, key: str) -> Exception:
    code, told = error.error.code, printable_line(storable(error.error.message, 300)).rstrip(".")
    if code == ANSWER_TOO_LARGE or key in transport.too_large:
        return ToolFailed("It ran, but it answered more than is taken.", remedy="Ask it for less.")
    if key in transport.not_sent or (code == INVALID_REQUEST and told == ENDED_SESSION):
        return NotSent(told)
    if code in (METHOD_NOT_FOUND, INVALID_PARAMS):
        return ToolFailed(f"The server refused the call: {told}.")
    if code == CONNECTION_CLOSED and transport.ended.done():
        return HappenedUnknown(f"The connection was lost in the middle of the call: {transport.ended.result()}.")
    return HappenedUnknown(f"The call was cut: {told}.")


def _value_of(result: CallToolResult) -> Any:
    if result.structured_content is not None:
        return result.structured_content
    if all(isinstance(block, TextContent) for block in result.content):
        return _text_of(result, whole=True)
    return [block.model_dump(by_alias=True, mode="json", exclude_none=True) for block in result.content]


def _text_of(result: CallToolResult, *, whole: bool = False) -> str:
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent)).replace("\0", "�")
    return text if whole else text[:ERROR_CHARACTERS]
