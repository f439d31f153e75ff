"""A whole answer as a stream of chunks, for clients that ask for one."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
WAITING = b": waiting\n\n"
"""A comment, which clients pass over: it keeps the connection."""


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def chunks_of(answer: Mapping[str, Any], *, usage: bool) -> Iterator[dict[str, Any]]:
    """The chunks of a chat completion: of each choice one with all that it says, and one with why it ends.

    Args:
        usage: whether a last chunk tells it (`stream_options.include_usage`).
    """
    top = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    top["object"] = "chat.completion.chunk"
    for choice in answer["choices"]:
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(delta["tool_calls"])]
        index = choice.get("index", 0)
        told = {"index": index, "delta": delta, "finish_reason": None}
        if choice.get("logprobs"):
            told["logprobs"] = choice["logprobs"]
        yield {**top, "choices": [told]}
        yield {**top, "choices": [{"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}]}
    if usage:
        yield {**top, "choices": [], "usage": answer.get("usage")}
