"""The functions that agents call."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from pavo.tools.contract import ToolContext, tool


@tool(effect="read", seconds=30)
async def search_corpus(
    query: Annotated[str, Field(min_length=1, max_length=2_000, description="Words to look for.")],
    ctx: ToolContext,
    limit: Annotated[int, Field(ge=1, le=20, description="How many documents at most.")] = 5,
) -> list[dict[str, Any]]:
    """Search the organisation's own documents. Answers the documents that hold any of the words, the best first, each
    with its title and an excerpt."""
    return [asdict(hit) for hit in await ctx.services.search_corpus(query, limit)]


@tool(effect="read", seconds=45)
async def http_get(
    url: Annotated[str, Field(max_length=2_000, description="An address that begins with https:// or http://.")],
    ctx: ToolContext,
) -> dict[str, Any]:
    """Read a text (HTML, JSON, plain text, …) from the web, of the hosts that the operator allows. Answers `status`,
    `url` (where redirects led), `content_type`, `text`, and whether the text was `cut`."""
    return asdict(await ctx.services.get(url))
