"""HTTP of the gateway: OpenAI's protocol, which its clients know; so it stands in no description of Pavo's own API.

Errors have the form of OpenAI's API, and clients are told not to try again by themselves: the gateway has.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from pavo.accounts.security import bearer
from pavo.agents.calling.completion import ModelAnswer
from pavo.errors import BadRequest, Conflict, NotAuthenticated, PavoError, Unavailable
from pavo.llm.streaming import DONE, WAITING, chunks_of, event
from pavo.tasks.dependencies import TheGateway

router = APIRouter(prefix="/llm/v1", include_in_schema=False)

STREAM_SECONDS: Final = 5.0
"""A stream begins with its answer, or after so long, so that errors have a status; then comments keep it open."""
_STATUS: Final = {NotAuthenticated: 401, Conflict: 409, BadRequest: 400, Unavailable: 503}
_ENDPOINT: Final = "x-pavo-endpoint"
"""Names another endpoint than the default one."""
_RETRY_COUNT: Final = "x-stainless-retry-count"
"""By which OpenAI's clients tell that they make the same call again."""


@router.post("/chat/completions")
async def create_chat_completion(request: Request, gateway: TheGateway) -> Response:
    """A chat completion, streamed where that is asked for."""
    try:
        who = await gateway.bearer(bearer(request.scope))
        body = _object(await request.body())
        headers = request.headers
        asking = asyncio.create_task(
            gateway.complete(
                who,
                body,
                endpoint=headers.get(_ENDPOINT),
                key=headers.get("idempotency-key"),
                again=headers.get(_RETRY_COUNT, "0") not in ("", "0"),
            )
        )
        await asyncio.wait({asking}, timeout=STREAM_SECONDS if body.get("stream") else None)
        if not asking.done():
            return StreamingResponse(_later(asking, body), media_type="text/event-stream")
        return _answered(asking.result(), body)
    except PavoError as error:
        return _refused(error)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found: object = orjson.loads(data)
    except ValueError as error:
        raise BadRequest("The body is no JSON.", field="body", remedy="Send a JSON object in UTF-8.") from error
    if not isinstance(found, dict):
        raise BadRequest("The body is no JSON object.", field="body", remedy="Send a JSON object in UTF-8.")
    return cast(dict[str, Any], found)


def _answered(answer: ModelAnswer, body: dict[str, Any]) -> Response:
    if answer.value is None:
        status = answer.status if answer.refused and answer.status else 400 if answer.refused else 503
        return _error(status if status >= 400 else 502, _told(answer), "model")
    if body.get("stream"):
        return Response(b"".join(_frames(answer, body)), media_type="text/event-stream")
    return Response(orjson.dumps(answer.value), media_type="application/json")


def _frames(answer: ModelAnswer, body: dict[str, Any]) -> list[bytes]:
    assert answer.value is not None
    options = body.get("stream_options")
    usage = isinstance(options, dict) and bool(cast(dict[str, Any], options).get("include_usage"))
    return [*(event(chunk) for chunk in chunks_of(answer.value, usage=usage)), DONE]


async def _later(asking: asyncio.Task[ModelAnswer], body: dict[str, Any]) -> AsyncGenerator[bytes]:
    while not asking.done():
        yield WAITING
        await asyncio.wait({asking}, timeout=STREAM_SECONDS)
    try:
        answer = asking.result()
    except PavoError as error:
        yield event({"error": _described(f"{error.detail} {error.remedy or ''}".strip(), error.code)})
        return
    if answer.value is None:
        yield event({"error": _described(_told(answer), "model")})
        return
    for frame in _frames(answer, body):
        yield frame


def _told(answer: ModelAnswer) -> str:
    return f"{answer.error} {answer.remedy or ''}".strip()


def _refused(error: PavoError) -> Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return _error(status, f"{error.detail} {error.remedy or ''}".strip(), error.code)


def _error(status: int, message: str, code: str) -> Response:
    body = orjson.dumps({"error": _described(message, code)})
    return Response(body, status, headers={"x-should-retry": "false"}, media_type="application/json")


def _described(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "pavo_error", "code": code, "param": None}
