"""A chat completion as an answer of the Messages API: whole, or as the events of its stream."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import orjson

_REASONS: Final = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_END: Final = "end_turn"
_BEGUN: Final[Mapping[str, Any]] = {"content": [], "stop_reason": None, "stop_sequence": None}


def message_of(asked: Mapping[str, Any], answer: Mapping[str, Any], id: str = "") -> dict[str, Any]:
    """The message; the same one whenever it is made of this answer.

    Args:
        id: under which its stream began.
    """
    hashed = hashlib.sha256(orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]
    first = answer["choices"][0]
    content = _content(first["message"], hashed)
    calls = any(each["type"] == "tool_use" for each in content)
    reason = _REASONS.get(str(first.get("finish_reason")), _END)
    return {
        "id": id or f"msg_{hashed}",
        "type": "message",
        "role": "assistant",
        "model": str(answer.get("model") or asked.get("model") or ""),
        "content": content,
        "stop_reason": "tool_use" if calls and reason == _END else reason,
        "stop_sequence": None,
        "usage": _usage(answer.get("usage")),
    }


def described(message: str, status: int) -> dict[str, Any]:
    """An error in the form of Anthropic's."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
    kinds |= {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def _content(message: Mapping[str, Any], hashed: str) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    given = cast("list[Any]", calls) if isinstance(calls, list) else []
    texts = [text for text in (message.get("content"), message.get("refusal")) if isinstance(text, str) and text]
    told = [{"type": "text", "text": text} for text in texts]
    return [*told, *(_call(each, f"toolu_{hashed}_{number}") for number, each in enumerate(given))]


def _call(call: Any, id: str) -> dict[str, Any]:
    members = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
    given = members.get("function")
    function = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    name = str(function.get("name") or "")
    return {
        "type": "tool_use",
        "id": str(members.get("id") or id),
        "name": name,
        "input": _input(function.get("arguments")),
    }


def _input(arguments: Any) -> dict[str, Any]:
    """An object in any case: what the model wrote in its place is in it, so that the tool can say what is wrong."""
    try:
        found: Any = orjson.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    except ValueError:
        found = arguments
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {} if found is None else {"arguments": found}


def _usage(usage: Any) -> dict[str, Any]:
    found = _members(usage)
    taken, cached = (
        _count(found, "prompt_tokens"),
        _count(_members(found.get("prompt_tokens_details")), "cached_tokens"),
    )
    cached = min(taken, cached)
    return {
        "input_tokens": taken - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(found, "completion_tokens"),
    }


def _members(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _count(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    return value if type(value) is int and value >= 0 else 0


class MessageStream:
    """The events of one message, in the form of server-sent events."""

    def __init__(self, asked: Mapping[str, Any], id: str) -> None:
        self._asked, self._id = asked, id
        self._begun = self._speaks = False

    def text(self, text: str) -> list[bytes]:
        """More of the message's text."""
        frames = self._begin()
        if not self._speaks:
            self._speaks = True
            frames.append(_event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        return [*frames, _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})]

    def rest(self, answer: Mapping[str, Any], said: str) -> list[bytes]:
        """What follows on a text that was said; the answer's begins with it."""
        found = message_of(self._asked, answer, self._id)
        frames = self._begin()
        for index, block in enumerate(found["content"]):
            if index == 0 and block["type"] == "text":
                lacking = block["text"].removeprefix(said)
                frames += self.text(lacking) if lacking or not self._speaks else []
                frames.append(_event("content_block_stop", index=0))
            else:
                frames += _block(index, block)
        ended = {"stop_reason": found["stop_reason"], "stop_sequence": None}
        frames.append(_event("message_delta", delta=ended, usage=found["usage"]))
        return [*frames, _event("message_stop")]

    def failed(self, message: str, status: int) -> list[bytes]:
        """There is no such message."""
        return [*self._begin(), _event(**described(message, status))]

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        told = {"id": self._id, "type": "message", "role": "assistant", "model": str(self._asked.get("model") or "")}
        return [_event("message_start", message={**told, **_BEGUN, "usage": _usage(None)})]


def _block(index: int, block: Mapping[str, Any]) -> Iterator[bytes]:
    start: dict[str, Any] = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": block.get("text")}
    if block["type"] == "tool_use":
        start = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}
    yield _event("content_block_start", index=index, content_block=start)
    yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _event(type: str, **members: Any) -> bytes:
    return b"event: " + type.encode() + b"\ndata: " + orjson.dumps({"type": type, **members}) + b"\n\n"
