"""OpenAI's own client, whose requests for chat completions go through `ctx.complete` and not over a network."""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI, OpenAI

from pavo.adapters.working import complete
from pavo.errors import ModelFailed, ModelRefused

THE_ENDPOINTS: Final = "pavo"
"""Names the endpoint's own model, for frameworks that want a name."""
_NO_RETRY: Final = {"x-should-retry": "false", "content-type": "application/json"}
"""Pavo tries again by itself."""


def recording_client() -> AsyncOpenAI:
    """A client for frameworks that take one: what it is answered is recorded, and never asked for again."""
    http = httpx2.AsyncClient(transport=_Recording())
    return AsyncOpenAI(base_url="http://pavo/v1", api_key="pavo", http_client=http, max_retries=0)


def recording_client_for_threads(wait: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]) -> OpenAI:
    """The same for a framework that runs on a thread.

    Args:
        wait: has the agent's event loop await what this makes, and blocks the thread meanwhile.
    """
    http = httpx2.Client(transport=_RecordingForThreads(wait))
    return OpenAI(base_url="http://pavo/v1", api_key="pavo", http_client=http, max_retries=0)


class _RecordingForThreads(httpx2.BaseTransport):
    def __init__(self, wait: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]) -> None:
        self._wait = wait

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._wait(lambda: _Recording().handle_async_request(request))


class _Recording(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/chat/completions"):
            return _error(404, f"Pavo answers chat completions alone, not {request.url.path}.")
        asked: dict[str, Any] = json.loads(await request.aread())
        streamed = bool(asked.get("stream"))
        if asked.get("model") == THE_ENDPOINTS:
            del asked["model"]
        try:
            answer = _whole(await complete(asked))
        except ModelRefused as error:
            return _error(int(error.extra.get("status") or 400), str(error))
        except ModelFailed as error:
            return _error(502, str(error))
        if not streamed:
            return httpx2.Response(200, headers=_NO_RETRY, content=json.dumps(answer))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(_chunks(answer)))


def _whole(answer: Mapping[str, Any]) -> dict[str, Any]:
    """With what the client wants of each answer, and some servers leave out."""
    filled = {"id": "pavo", "created": 0, "model": THE_ENDPOINTS, "object": "chat.completion"}
    return {**answer, **{name: answer.get(name) or value for name, value in filled.items()}}


def _error(status: int, told: str) -> httpx2.Response:
    body = {"error": {"message": told, "type": "pavo", "code": None, "param": None}}
    return httpx2.Response(status, headers=_NO_RETRY, content=json.dumps(body))


def _chunks(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """A whole answer as a stream of one chunk, and one with its usage."""
    choice: Mapping[str, Any] = answer["choices"][0]
    delta: dict[str, Any] = {name: value for name, value in choice["message"].items() if value is not None}
    if "tool_calls" in delta:
        delta["tool_calls"] = [{**call, "index": at} for at, call in enumerate(delta["tool_calls"])]
    head: dict[str, Any] = {
        **{name: answer.get(name) for name in ("id", "created", "model")},
        "object": "chat.completion.chunk",
    }
    said: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": choice.get("finish_reason")}
    chunks: list[dict[str, Any]] = [{**head, "choices": [said]}, {**head, "choices": [], "usage": answer.get("usage")}]
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n".encode()
    yield b"data: [DONE]\n\n"
