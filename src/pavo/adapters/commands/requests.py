"""What a program asks of Pavo while it works: each line is answered by one, in their order."""

import base64
import binascii
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pavo.adapters.commands.program import ProgramFailed
from pavo.adapters.commands.told import given, members_of, text
from pavo.agents.contract import JSON, AgentContext
from pavo.errors import ArtifactError, PavoError, QuestionExpired, ToolFailed


async def answered(kind: str, said: Mapping[str, Any], ctx: AgentContext) -> dict[str, JSON]:
    """The line that answers a request: its value, or the error that a program may go on from.

    Raises:
        PavoError: whatever an agent does not go on from, such as AgentRefused.
        ProgramFailed: the request is none.
    """
    try:
        return {"type": "answer", "value": await _ANSWERS[kind](said, ctx)}
    except (ToolFailed, QuestionExpired, ArtifactError) as error:
        return {"type": "answer", "error": _told(error)}


def _told(error: PavoError) -> dict[str, JSON]:
    return {"code": error.code, "detail": error.detail, "remedy": error.remedy}


async def _ask(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    return await ctx.ask(said["key"], said["question"], **given(said, "choices", "schema", "expires", "default"))


async def _call(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    return await ctx.call(text(said, "tool"), members_of(said, "args"), **given(said, "key"))


async def _delegate(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    agent, title, prompt = (text(said, name) for name in ("agent", "title", "prompt"))
    found = await ctx.delegate(agent, title, prompt, members_of(said, "options"), **given(said, "key"))
    return {"task": str(found.task_id), "stage": found.stage, "report": found.report, "cause": found.cause}


async def _search(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    limit = said.get("limit", 10)
    if type(limit) is not int:
        raise ProgramFailed("limit must be a whole number.")
    hits = await ctx.corpus.search(text(said, "query"), limit)
    return [{"title": hit.title, "excerpt": hit.excerpt, "rank": hit.rank} for hit in hits]


async def _messages(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    after = said.get("after", 0)
    if type(after) is not int:
        raise ProgramFailed("after must be a whole number.")
    found = await ctx.messages(after)
    return [{"seq": each.seq, "body": each.body, "author": each.author, "at": each.at.isoformat()} for each in found]


async def _secret(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    return await ctx.secret(text(said, "name"))


async def _artifact(said: Mapping[str, Any], ctx: AgentContext) -> JSON:
    kept = await ctx.artifacts.put(text(said, "name"), _content(said), **given(said, "media_type"))
    return {"id": str(kept.id), "name": kept.name, "media_type": kept.media_type, "bytes": kept.bytes}


def _content(said: Mapping[str, Any]) -> "bytes | str | os.PathLike[str]":
    named = [name for name in ("path", "text", "base64") if name in said]
    if len(named) != 1:
        raise ProgramFailed("A line of type artifact takes one of path, text and base64.")
    content = text(said, named[0])
    if named[0] == "path":
        return Path(content)
    if named[0] == "text":
        return content
    try:
        return base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error):
        raise ProgramFailed("base64 holds what is no base64.") from None


_ANSWERS: Final[Mapping[str, Callable[[Mapping[str, Any], AgentContext], Awaitable[JSON]]]] = {
    "ask": _ask,
    "call": _call,
    "artifact": _artifact,
    "delegate": _delegate,
    "search": _search,
    "messages": _messages,
    "secret": _secret,
}
