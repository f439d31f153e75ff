"""Limits on what a request may carry."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.errors import InvalidInput, PavoError, TooLarge, Unavailable
from pavo.kit.problem import PROBLEM_JSON, problem_bytes

MAX_BODY_BYTES = 2_000_000


def problem_response(status: int, error: PavoError, headers: Mapping[str, str] | None = None) -> Response:
    """An error as problem details; with Retry-After where repeating later helps."""
    later = {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable) else {}
    return Response(problem_bytes(status, error), status, headers={**later, **(headers or {})}, media_type=PROBLEM_JSON)


class _TooMuch(Exception):
    pass


class BodyLimit:
    """Refuses bodies over 2 MB (413) before they are read, and addresses with NUL characters (422)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if b"%00" in scope.get("query_string", b"") or "\x00" in scope["path"]:
            error = InvalidInput("The address has a NUL character.", field="url", remedy="Leave it out.")
            await problem_response(422, error)(scope, receive, send)
            return
        too_large = TooLarge(
            f"The body has more than {MAX_BODY_BYTES} bytes.", field="body", remedy="Send less at once."
        )
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            await problem_response(413, too_large)(scope, receive, send)
            return
        if not await self._serve(scope, receive, send):
            await problem_response(413, too_large)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether the body kept within the limit. If not, nothing was answered: what the application makes of the
        broken body (it takes it for malformed) is held back."""
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise _TooMuch
            return message

        async def unless_too_much(message: Message) -> None:
            if seen <= MAX_BODY_BYTES:
                await send(message)

        try:
            await self._app(scope, limited, unless_too_much)
        except _TooMuch:
            return False
        return seen <= MAX_BODY_BYTES
