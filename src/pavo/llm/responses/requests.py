"""A request of the Responses API as one for a chat completion. What it may ask for and cannot get is refused."""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from pavo.llm.members import Members, refuse

_MEMBERS: Final = Members("Responses")
_AS_THEY_ARE: Final = (
    *("model", "temperature", "top_p", "parallel_tool_calls", "metadata", "user", "service_tier"),
    *("prompt_cache_key", "safety_identifier"),
)
_KEPT_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt")
"""Members that name what OpenAI keeps, and nobody else has."""
_TEXTS: Final = frozenset(("input_text", "output_text", "text", "summary_text"))


def chat_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request, as `agents.calling.completion.checked_completion` checks it further.

    Raises:
        BadRequest: it asks for what a chat completion has not; the text names the member and the remedy.
    """
    for name in _KEPT_ELSEWHERE:
        if body.get(name) is not None:
            refuse(name, "nothing is kept here that it could name", "Send all of the conversation as input.")
    if body.get("background"):
        refuse("background", "answers are waited for", "Leave it out, or stream.")
    found = {name: body[name] for name in _AS_THEY_ARE if body.get(name) is not None}
    system = body.get("instructions")
    told = [{"role": "system", "content": system}] if system else []
    return {**found, **_bounds(body), **_tools(body), "messages": [*told, *_messages(body.get("input"))]}


def _bounds(body: Mapping[str, Any]) -> dict[str, Any]:
    """How long, how thoughtful, and in which form."""
    text, reasoning = (
        _MEMBERS.object(body.get("text") or {}, "text"),
        _MEMBERS.object(body.get("reasoning") or {}, "reasoning"),
    )
    form = _MEMBERS.object(text.get("format") or {}, "text.format")
    given = {
        "max_completion_tokens": body.get("max_output_tokens"),
        "reasoning_effort": reasoning.get("effort"),
        "verbosity": text.get("verbosity"),
        "response_format": None if form.get("type") in (None, "text") else _format(form),
    }
    return {name: value for name, value in given.items() if value is not None}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(each) for each in _MEMBERS.objects(body.get("tools") or [], "tools")]
    if not tools:
        return {}
    choice = body.get("tool_choice")
    return {"tools": tools} if choice is None else {"tools": tools, "tool_choice": _choice(choice)}


def custom_tools(body: Mapping[str, Any]) -> frozenset[str]:
    """Names of the tools that take a text in the place of arguments."""
    tools = cast("list[Mapping[str, Any]]", body.get("tools") or [])
    return frozenset(str(each.get("name")) for each in tools if each.get("type") == "custom")


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[dict[str, Any]] = []
    for item in _MEMBERS.objects(given, "input"):
        kind = item.get("type") or "message"
        if kind == "message":
            messages.append(_message(item))
        elif kind in ("function_call", "custom_tool_call"):
            _add_call(messages, item, kind)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            content = _content(item.get("output"), "tool")
            messages.append({"role": "tool", "tool_call_id": _MEMBERS.text(item, "call_id"), "content": content})
        elif kind != "reasoning":  # what a model thought means something to that model's provider alone
            refuse("input", f"an item of the type {str(kind)[:100]!r} means nothing here", "Send messages and calls.")
    return messages


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    role = _MEMBERS.text(item, "role")
    if role not in ("user", "assistant", "system", "developer"):
        refuse("input", f"{role[:100]!r} is no role", "Use user, assistant, system or developer.")
    role = "system" if role == "developer" else role
    return {"role": role, "content": _content(item.get("content"), role)}


def _content(given: Any, role: str) -> Any:
    """A text, or for users also images."""
    if isinstance(given, str):
        return given
    texts: list[str] = []
    parts: list[dict[str, Any]] = []
    for part in _MEMBERS.objects(given, "content"):
        kind = part.get("type")
        if kind in _TEXTS or kind == "refusal":
            texts.append(_MEMBERS.text(part, "refusal" if kind == "refusal" else "text"))
            parts.append({"type": "text", "text": texts[-1]})
        elif kind == "input_image" and role == "user" and part.get("image_url"):
            shown = {
                "url": _MEMBERS.text(part, "image_url"),
                **({"detail": part["detail"]} if part.get("detail") else {}),
            }
            parts.append({"type": "image_url", "image_url": shown})
        else:
            refuse("content", f"{str(kind)[:100]!r} cannot be passed on", "Send texts, and images by their URL.")
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _add_call(messages: list[dict[str, Any]], item: Mapping[str, Any], kind: str) -> None:
    """Calls belong to the answer before them."""
    if kind == "custom_tool_call":
        text = orjson.dumps({"input": _MEMBERS.text(item, "input")}).decode()
    else:
        text = _MEMBERS.text(item, "arguments")
    function = {"name": _MEMBERS.text(item, "name"), "arguments": text}
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    call = {"id": _MEMBERS.text(item, "call_id"), "type": "function", "function": function}
    messages[-1].setdefault("tool_calls", []).append(call)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    if kind == "function":
        names = ("name", "description", "parameters", "strict")
        return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}
    if kind != "custom":
        wrong = f"a tool {str(kind)[:100]!r} runs at OpenAI alone"
        refuse("tools", wrong, "Offer functions, which your program runs.")
    parameters = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    told = {"name": _MEMBERS.text(tool, "name"), "description": str(tool.get("description") or "")}
    return {"type": "function", "function": {**told, "parameters": parameters}}


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    found = _MEMBERS.object(choice, "tool_choice")
    if found.get("type") not in ("function", "custom"):
        refuse("tool_choice", "it names no function", "Use auto, none, required, or a function's name.")
    return {"type": "function", "function": {"name": _MEMBERS.text(found, "name")}}


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    if form["type"] == "json_object":
        return {"type": "json_object"}
    if form["type"] != "json_schema":
        refuse("text.format", f"{str(form['type'])[:100]!r} is no format", "Use text, json_object or json_schema.")
    names = ("name", "description", "schema", "strict")
    return {"type": "json_schema", "json_schema": {name: form[name] for name in names if form.get(name) is not None}}
