"""A chat completion as an answer of the Responses API: whole, or as the events of its stream."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson

_REPEATED: Final = (
    *("instructions", "max_output_tokens", "metadata", "model", "parallel_tool_calls", "reasoning", "temperature"),
    *("text", "tool_choice", "tools", "top_p", "truncation", "user"),
)
"""Members of a request that its answer repeats."""
_DEFAULTS: Final[Mapping[str, Any]] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}}
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_of(
    asked: Mapping[str, Any], answer: Mapping[str, Any], custom: frozenset[str], id: str = ""
) -> dict[str, Any]:
    """The response; the same one whenever it is made of this answer.

    Args:
        custom: names of the tools that take a text in the place of arguments.
        id: under which its stream began.
    """
    hashed = hashlib.sha256(orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    first = answer["choices"][0]
    reason = _INCOMPLETE.get(str(first.get("finish_reason")))
    return {
        **_shell(asked, id or f"resp_{hashed}"),
        "created_at": created if type(created := answer.get("created")) is int else 0,
        "model": str(answer.get("model") or asked.get("model") or ""),
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": _output(first["message"], custom, hashed),
        "usage": _usage(answer.get("usage")),
    }


def _shell(asked: Mapping[str, Any], id: str) -> dict[str, Any]:
    repeated = {name: asked.get(name) for name in _REPEATED}
    given = {name: value for name, value in asked.items() if name in _DEFAULTS and value is not None}
    told: dict[str, Any] = {
        "id": id,
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "error": None,
        "output": [],
    }
    rest = {"incomplete_details": None, "previous_response_id": None, "store": False, "usage": None}
    return {**repeated, **_DEFAULTS, **given, **told, **rest, "model": str(asked.get("model") or "")}


def _output(message: Mapping[str, Any], custom: frozenset[str], hashed: str) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    given = cast("list[Any]", calls) if isinstance(calls, list) else []
    found = [_call(each, custom, f"fc_{hashed}_{number}") for number, each in enumerate(given)]
    texts, refusal = message.get("content"), message.get("refusal")
    parts: list[dict[str, Any]] = []
    if isinstance(texts, str) and texts:
        parts.append(_text_part(texts))
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    told = {"id": f"msg_{hashed}", "type": "message", "role": "assistant", "status": "completed", "content": parts}
    return [told, *found] if parts or not found else found


def _call(call: Any, custom: frozenset[str], id: str) -> dict[str, Any]:
    members = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
    given = members.get("function")
    function = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    name, text = str(function.get("name") or ""), function.get("arguments")
    arguments = text if isinstance(text, str) else orjson.dumps(text or {}).decode()
    told = {"id": id, "call_id": str(members.get("id") or id), "name": name, "status": "completed"}
    if name in custom:
        return {**told, "type": "custom_tool_call", "input": _input(arguments)}
    return {**told, "type": "function_call", "arguments": arguments}


def _input(arguments: str) -> str:
    """The text, or whatever the model wrote in its place."""
    try:
        found: Any = orjson.loads(arguments)
    except ValueError:
        return arguments
    given = cast("dict[str, Any]", found).get("input") if isinstance(found, dict) else None
    return given if isinstance(given, str) else arguments


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, Mapping):
        return None
    found = cast(Mapping[str, Any], usage)

    def count(members: Any, name: str) -> int:
        value = cast(Mapping[str, Any], members).get(name) if isinstance(members, Mapping) else None
        return value if type(value) is int and value >= 0 else 0

    taken, given = count(found, "prompt_tokens"), count(found, "completion_tokens")
    thought = count(found.get("completion_tokens_details"), "reasoning_tokens")
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": count(found.get("prompt_tokens_details"), "cached_tokens")},
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": count(found, "total_tokens") or taken + given,
    }


class ResponseStream:
    """The events of one response, in the form of server-sent events."""

    def __init__(self, asked: Mapping[str, Any], custom: frozenset[str], id: str) -> None:
        self._asked, self._custom, self._id = asked, custom, id
        self._message = f"msg_{id}"
        self._number = 0
        self._begun = self._speaks = False

    def text(self, text: str) -> list[bytes]:
        """More of the message's text."""
        frames = self._begin()
        if not self._speaks:
            self._speaks = True
            frames += self._opened(0, {**self._item(), "status": "in_progress", "content": []})
            frames.append(self._part("response.content_part.added", part=_text_part("")))
        return [*frames, self._part("response.output_text.delta", delta=text, logprobs=[])]

    def rest(self, answer: Mapping[str, Any], said: str) -> list[bytes]:
        """What follows on a text that was said; the answer's begins with it."""
        found = response_of(self._asked, answer, self._custom, self._id)
        frames = self._begin()
        for index, item in enumerate(cast("list[dict[str, Any]]", found["output"])):
            if item["type"] == "message":
                item["id"] = self._message
                frames += self._ended_message(item, said)
            else:
                frames += self._call(index, item)
        kind = "response.incomplete" if found["status"] == "incomplete" else "response.completed"
        return [*frames, self._event(kind, response=found)]

    def failed(self, message: str, code: str) -> list[bytes]:
        """There is no such response."""
        told = {**_shell(self._asked, self._id), "status": "failed", "error": {"code": code, "message": message}}
        return [*self._begin(), self._event("response.failed", response=told)]

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun, shell = True, _shell(self._asked, self._id)
        return [self._event(f"response.{kind}", response=shell) for kind in ("created", "in_progress")]

    def _item(self) -> dict[str, Any]:
        return {"id": self._message, "type": "message", "role": "assistant"}

    def _opened(self, index: int, item: Mapping[str, Any]) -> list[bytes]:
        return [self._event("response.output_item.added", output_index=index, item=item)]

    def _part(self, kind: str, **members: Any) -> bytes:
        return self._event(kind, item_id=self._message, output_index=0, content_index=0, **members)

    def _ended_message(self, item: Mapping[str, Any], said: str) -> Iterator[bytes]:
        parts = cast(Sequence[Mapping[str, Any]], item["content"])
        text = next((part["text"] for part in parts if part["type"] == "output_text"), "")
        if text[len(said) :] or not self._speaks:
            yield from self.text(text[len(said) :])
        yield self._part("response.output_text.done", text=text, logprobs=[])
        yield self._part("response.content_part.done", part=_text_part(text))
        yield self._event("response.output_item.done", output_index=0, item=item)

    def _call(self, index: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        custom = item["type"] == "custom_tool_call"
        name, kind = ("input", "custom_tool_call_input") if custom else ("arguments", "function_call_arguments")
        at = {"item_id": item["id"], "output_index": index}
        yield from self._opened(index, {**item, name: "", "status": "in_progress"})
        yield self._event(f"response.{kind}.delta", delta=item[name], **at)
        yield self._event(f"response.{kind}.done", **{name: item[name], "name": item["name"]}, **at)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _event(self, kind: str, **members: Any) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
