"""HTTP of the gateway: OpenAI's protocol, which its clients know; so it stands in no description of Pavo's own API.

Errors have the form of OpenAI's API, and clients are told not to try again by themselves: the gateway has.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, cast

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers

from pavo.accounts.security import bearer
from pavo.agents.calling.completion import ModelAnswer
from pavo.errors import BadRequest, Conflict, NotAuthenticated, PavoError, Unavailable
from pavo.llm.streaming import DONE, WAITING, event
from pavo.tasks.dependencies import TheGateway
from pavo.tasks.gateway.passing import Passing
from pavo.tasks.sql.gateway_tokens import Bearer

router = APIRouter(prefix="/llm/v1", include_in_schema=False)

STREAM_SECONDS: Final = 5.0
"""A stream begins with its answer, or after so long, so that errors have a status; then comments keep it open."""
BROKEN: Final = (
    "The model's server broke off in the middle, and another try gave another answer. "
    "That is recorded: make the call again."
)
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
        passing = Passing(usage=_wants_usage(body)) if body.get("stream") else None
        asking = asyncio.create_task(_ask(gateway, who, body, request.headers, passing))
        if passing is not None:
            await passing.more(asking, STREAM_SECONDS)
            if passing.begun or not asking.done():
                endpoint = request.headers.get(_ENDPOINT)
                stream = _passed_on(asking, passing, lambda: gateway.cut(who, body, endpoint))
                return StreamingResponse(stream, media_type="text/event-stream")
        return _answered(await asking, passing)
    except PavoError as error:
        return _refused(error)


def _ask(
    gateway: TheGateway, who: Bearer, body: dict[str, Any], headers: Headers, told: Passing | None
) -> Coroutine[Any, Any, ModelAnswer]:
    again = headers.get(_RETRY_COUNT, "0") not in ("", "0")
    endpoint, key = headers.get(_ENDPOINT), headers.get("idempotency-key")
    return gateway.complete(who, body, endpoint=endpoint, key=key, again=again, told=told)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found: object = orjson.loads(data)
    except ValueError as error:
        raise BadRequest("The body is no JSON.", field="body", remedy="Send a JSON object in UTF-8.") from error
    if not isinstance(found, dict):
        raise BadRequest("The body is no JSON object.", field="body", remedy="Send a JSON object in UTF-8.")
    return cast(dict[str, Any], found)


def _answered(answer: ModelAnswer, passing: Passing | None) -> Response:
    if answer.value is None:
        status = answer.status if answer.refused and answer.status else 400 if answer.refused else 503
        return _error(status if status >= 400 else 502, _told(answer), "model")
    if passing is not None and (frames := passing.rest(answer.value)) is not None:
        return Response(b"".join([*frames, DONE]), media_type="text/event-stream")
    return Response(orjson.dumps(answer.value), media_type="application/json")


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(cast(dict[str, Any], options).get("include_usage"))


async def _passed_on(
    asking: asyncio.Task[ModelAnswer], passing: Passing, cut: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """The chunks of an answer as they come, and comments where none do; its end once it is recorded.

    Args:
        cut: told where the client does not get it to its end.
    """
    whole = False
    try:
        while not asking.done():
            for frame in passing.taken():
                yield frame
            if not asking.done() and not await passing.more(asking, STREAM_SECONDS):
                yield WAITING
        frames = [*passing.taken(), *_ended(asking, passing)]
        for frame in frames:
            yield frame
        whole = frames[-1] is DONE
    finally:
        passing.close()
        if not whole:
            cut()


def _ended(asking: asyncio.Task[ModelAnswer], passing: Passing) -> list[bytes]:
    """What a stream ends with."""
    try:
        answer = asking.result()
    except PavoError as error:
        return [event({"error": _described(f"{error.detail} {error.remedy or ''}".strip(), error.code)})]
    if answer.value is None:
        return [event({"error": _described(_told(answer), "model")})]
    rest = passing.rest(answer.value)
    return [event({"error": _described(BROKEN, "answer_changed")})] if rest is None else [*rest, DONE]


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
