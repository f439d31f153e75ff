"""A request of the Messages API as one for a chat completion. What it may ask for and cannot get is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import orjson

from pavo.llm.members import Members, refuse

_MEMBERS: Final = Members("Messages")
_AS_THEY_ARE: Final = ("model", "temperature", "top_p")
_KEPT_ELSEWHERE: Final = ("container", "mcp_servers")
"""Members by which Anthropic runs something itself."""
_EFFORTS: Final = frozenset(("low", "medium", "high"))
_THOUGHTS: Final = frozenset(("thinking", "redacted_thinking"))
"""What a model thought means something to that model's provider alone."""
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_TELL_OF_ERROR: Final = "Error: "


def chat_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request, as `agents.calling.completion.checked_completion` checks it further.

    Raises:
        BadRequest: it asks for what a chat completion has not; the text names the member and the remedy.
    """
    for name in _KEPT_ELSEWHERE:
        if body.get(name):
            refuse(name, "it runs at Anthropic alone", "Offer tools, which your program runs.")
    if body.get("top_k") is not None:
        refuse("top_k", "chat completions do not know it", "Leave it out, or give top_p.")
    found = {name: body[name] for name in _AS_THEY_ARE if body.get(name) is not None}
    system = _texts(body.get("system") or "", "system")
    told = [{"role": "system", "content": system}] if system else []
    messages = [message for each in _MEMBERS.objects(body.get("messages"), "messages") for message in _messages(each)]
    return {**found, **_bounds(body), **_tools(body), "messages": [*told, *messages]}


def _bounds(body: Mapping[str, Any]) -> dict[str, Any]:
    """How long, how thoughtful, and in which form."""
    output = _MEMBERS.object(body.get("output_config") or {}, "output_config")
    metadata = _MEMBERS.object(body.get("metadata") or {}, "metadata")
    effort = output.get("effort")
    given = {
        "max_completion_tokens": body.get("max_tokens"),
        "stop": body.get("stop_sequences") or None,
        "user": metadata.get("user_id"),
        "reasoning_effort": effort if effort in _EFFORTS else None,
        "response_format": _format(output.get("format")),
    }
    return {name: value for name, value in given.items() if value is not None}


def _format(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    form = _MEMBERS.object(given, "output_config.format")
    if form.get("type") != "json_schema":
        wrong = f"{str(form.get('type'))[:100]!r} is no format"
        refuse("output_config.format", wrong, "Use json_schema, or leave it out.")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form.get("schema"), "strict": True}}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(each) for each in _MEMBERS.objects(body.get("tools") or [], "tools")]
    if not tools:
        return {}
    choice = body.get("tool_choice")
    return {"tools": tools} if choice is None else {"tools": tools, **_choice(_MEMBERS.object(choice, "tool_choice"))}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    if kind not in (None, "custom"):
        wrong = f"a tool {str(kind)[:100]!r} runs at Anthropic alone"
        refuse("tools", wrong, "Offer tools of your own, which your program runs.")
    told = {"description": str(tool["description"])} if tool.get("description") else {}
    schema = _MEMBERS.object(tool.get("input_schema") or {}, "tools.input_schema")
    return {"type": "function", "function": {"name": _MEMBERS.text(tool, "name"), **told, "parameters": schema}}


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    apart = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    if choice.get("type") == "tool":
        return {"tool_choice": {"type": "function", "function": {"name": _MEMBERS.text(choice, "name")}}, **apart}
    found = _CHOICES.get(str(choice.get("type")))
    if found is None:
        wrong = f"{str(choice.get('type'))[:100]!r} is no choice"
        refuse("tool_choice", wrong, "Use auto, any, none, or tool with a name.")
    return {"tool_choice": found, **apart}


def _messages(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one of its messages becomes: results of tools are messages of their own."""
    role, content = _MEMBERS.text(message, "role"), message.get("content")
    if role == "system":
        return [{"role": role, "content": _texts(content, "content")}]
    if role not in ("user", "assistant"):
        refuse("messages", f"{role[:100]!r} is no role", "Use user or assistant.")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = [each for each in _MEMBERS.objects(content, "content") if each.get("type") not in _THOUGHTS]
    return [_said(blocks)] if role == "assistant" else _heard(blocks)


def _said(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By the model: texts and calls."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            texts.append(_MEMBERS.text(block, "text"))
        elif kind == "tool_use":
            arguments = orjson.dumps(_MEMBERS.object(block.get("input") or {}, "input")).decode()
            function = {"name": _MEMBERS.text(block, "name"), "arguments": arguments}
            calls.append({"id": _MEMBERS.text(block, "id"), "type": "function", "function": function})
        else:
            _refuse_block(kind)
    content = "\n".join(texts) if texts or not calls else None
    return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}


def _heard(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By the model: results of its calls, then what the user says; a result's images are among that."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            inner = _parts(block.get("content") or "")
            told = "\n".join(each["text"] for each in inner if each["type"] == "text")
            told = f"{_TELL_OF_ERROR}{told}" if block.get("is_error") else told
            results.append({"role": "tool", "tool_call_id": _MEMBERS.text(block, "tool_use_id"), "content": told})
            parts += [each for each in inner if each["type"] != "text"]
        else:
            parts += _parts([block])
    if not parts:
        return results or [{"role": "user", "content": ""}]
    if all(each["type"] == "text" for each in parts):
        return [*results, {"role": "user", "content": "\n".join(each["text"] for each in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _parts(given: Any) -> list[dict[str, Any]]:
    """Texts and images in the form of chat completions."""
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    parts: list[dict[str, Any]] = []
    for block in _MEMBERS.objects(given, "content"):
        match block.get("type"):
            case "text":
                parts.append({"type": "text", "text": _MEMBERS.text(block, "text")})
            case "image":
                url = _url(_MEMBERS.object(block.get("source"), "source"))
                parts.append({"type": "image_url", "image_url": {"url": url}})
            case kind:
                _refuse_block(kind)
    return parts


def _url(source: Mapping[str, Any]) -> str:
    match source.get("type"):
        case "url":
            return _MEMBERS.text(source, "url")
        case "base64":
            return f"data:{_MEMBERS.text(source, 'media_type')};base64,{_MEMBERS.text(source, 'data')}"
        case kind:
            wrong = f"{str(kind)[:100]!r} cannot be passed on"
            return refuse("source", wrong, "Send images by their URL, or as base64.")


def _texts(given: Any, name: str) -> str:
    if isinstance(given, str):
        return given
    return "\n".join(_MEMBERS.text(block, "text") for block in _MEMBERS.objects(given, name))


def _refuse_block(kind: Any) -> NoReturn:
    wrong = f"a block of the type {str(kind)[:100]!r} cannot be passed on"
    refuse("content", wrong, "Send texts, images, calls of tools and their results.")
