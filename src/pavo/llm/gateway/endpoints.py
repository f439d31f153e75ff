"""HTTP of the gateway, in protocols of OpenAI and Anthropic, which their clients know: no part of Pavo's own API.

Errors have the form of the API that is spoken, and clients are told not to try again by themselves: the gateway has.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, TypeAlias, cast

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers

from pavo.accounts.security import bearer
from pavo.agents.calling.completion import ModelAnswer
from pavo.errors import BadRequest, Conflict, NotAuthenticated, PavoError, Unavailable
from pavo.llm.dependencies import TheGateway
from pavo.llm.gateway.bearers import Bearer, Bearers
from pavo.llm.gateway.dialects import Chat, Dialect, Messages, Responses
from pavo.llm.gateway.passing import Passing
from pavo.llm.gateway.service import GatewayService
from pavo.llm.streaming import WAITING
from pavo.usage.estimating import tokens_of

Speaking: TypeAlias = type[Chat] | type[Responses] | type[Messages]
ShownBy: TypeAlias = tuple[Bearer, Bearers]
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
_SHOW: Final = "x-pavo-show"
"""`no`: viewers of the run do not see the answer while it is made."""
_RETRY_COUNT: Final = "x-stainless-retry-count"
"""By which OpenAI's clients tell that they make the same call again."""


@router.post("/chat/completions")
async def create_chat_completion(request: Request, gateway: TheGateway) -> Response:
    """A chat completion, streamed where that is asked for."""
    return await _answer(request, gateway, Chat)


@router.post("/responses")
async def create_response(request: Request, gateway: TheGateway) -> Response:
    """A response, likewise."""
    return await _answer(request, gateway, Responses)


@router.post("/messages")
async def create_message(request: Request, gateway: TheGateway) -> Response:
    """A message of Anthropic's API, likewise."""
    return await _answer(request, gateway, Messages)


@router.post("/messages/count_tokens")
async def count_message_tokens(request: Request, gateway: TheGateway) -> Response:
    """About how many tokens a message would take; nothing is asked of a model."""
    try:
        await gateway.bearer(_token(request))
        counted = tokens_of(Messages(_object(await request.body())).request)
    except PavoError as error:
        return _refused(error, Messages)
    return Response(orjson.dumps({"input_tokens": counted}), media_type="application/json")


def _token(request: Request) -> str | None:
    """Of the authorization, or where Anthropic's clients send a key."""
    return bearer(request.scope) or request.headers.get("x-api-key")


async def _answer(request: Request, gateway: TheGateway, speaking: Speaking) -> Response:
    try:
        who = await gateway.bearer(_token(request))
        dialect = speaking(_object(await request.body()))
        passing, endpoint = dialect.passing, request.headers.get(_ENDPOINT)
        asking = asyncio.create_task(_ask(gateway, who, dialect, request.headers))

        def cut() -> None:
            gateway.cut(who[0], dialect.request, endpoint)

        if passing is not None:
            await passing.more(asking, STREAM_SECONDS)
            if passing.begun or not asking.done():
                stream = _passed_on(asking, dialect, passing, cut)
                return StreamingResponse(stream, media_type="text/event-stream")
        return _answered(await _whole(request, asking, cut), dialect)
    except PavoError as error:
        return _refused(error, speaking)


async def _whole(request: Request, asking: asyncio.Task[ModelAnswer], cut: Callable[[], None]) -> ModelAnswer:
    """An answer that is sent at once; it is awaited also where the client has gone.

    Args:
        cut: told as soon as the client goes.
    """
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
        if has_gone := gone.done():
            cut()
        answer = await asking
    finally:
        gone.cancel()
    if not has_gone and await request.is_disconnected():
        cut()
    return answer


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _ask(gateway: GatewayService, who: ShownBy, dialect: Dialect, headers: Headers) -> Coroutine[Any, Any, ModelAnswer]:
    again = headers.get(_RETRY_COUNT, "0") not in ("", "0")
    endpoint, key = headers.get(_ENDPOINT), headers.get("idempotency-key")
    told, shown = dialect.passing, headers.get(_SHOW) != "no"
    asked = dialect.request
    return gateway.complete(who, asked, endpoint=endpoint, key=key, again=again, told=told, shown=shown)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found: object = orjson.loads(data)
    except ValueError as error:
        raise BadRequest("The body is no JSON.", field="body", remedy="Send a JSON object in UTF-8.") from error
    if not isinstance(found, dict):
        raise BadRequest("The body is no JSON object.", field="body", remedy="Send a JSON object in UTF-8.")
    return cast(dict[str, Any], found)


def _answered(answer: ModelAnswer, dialect: Dialect) -> Response:
    if answer.value is None:
        status = answer.status if answer.refused and answer.status else 400 if answer.refused else 503
        return _error(status if status >= 400 else 502, _told(answer), "model", dialect)
    if dialect.passing is not None:
        frames = dialect.rest(answer.value) or dialect.failed(BROKEN, "answer_changed")
        return Response(b"".join(frames), media_type="text/event-stream")
    return Response(orjson.dumps(dialect.whole(answer.value)), media_type="application/json")


async def _passed_on(
    asking: asyncio.Task[ModelAnswer], dialect: Dialect, passing: Passing, cut: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """An answer as it comes, and comments where nothing does; its end once it is recorded.

    Args:
        cut: told where the client does not get it to its end.
    """
    whole = False
    try:
        while not asking.done():
            for frame in dialect.taken():
                yield frame
            if not asking.done() and not await passing.more(asking, STREAM_SECONDS):
                yield WAITING
        for frame in dialect.taken():
            yield frame
        frames, is_whole = _ended(asking, dialect)
        for frame in frames:
            yield frame
        whole = is_whole
    finally:
        passing.close()
        if not whole:
            cut()


def _ended(asking: asyncio.Task[ModelAnswer], dialect: Dialect) -> tuple[list[bytes], bool]:
    """What a stream ends with, and whether the answer is whole then."""
    try:
        answer = asking.result()
    except PavoError as error:
        return dialect.failed(f"{error.detail} {error.remedy or ''}".strip(), error.code), False
    if answer.value is None:
        return dialect.failed(_told(answer), "model"), False
    rest = dialect.rest(answer.value)
    return (dialect.failed(BROKEN, "answer_changed"), False) if rest is None else (rest, True)


def _told(answer: ModelAnswer) -> str:
    return f"{answer.error} {answer.remedy or ''}".strip()


def _refused(error: PavoError, speaking: Speaking) -> Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return _error(status, f"{error.detail} {error.remedy or ''}".strip(), error.code, speaking)


def _error(status: int, message: str, code: str, speaking: Speaking | Dialect) -> Response:
    body = orjson.dumps(speaking.refused(message, code, status))
    return Response(body, status, headers={"x-should-retry": "false"}, media_type="application/json")
