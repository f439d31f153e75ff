"""What every request passes: limits on what it may carry, and an answer whatever breaks."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.errors import InternalError, InvalidInput, NotAuthenticated, PavoError, TooLarge, Unavailable
from pavo.kit.ids import new_id
from pavo.kit.listening.counted_values import CountedValues, NotUtf8
from pavo.kit.problem import PROBLEM_JSON, problem_bytes

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 2_000_000
SMALL_BODY_BYTES = 32_000
"""So much of each body is always taken: of the most requests that are served at once that is 160 MB."""
MAX_BYTES_OF_BODIES = 128_000_000
"""Beyond it, of all at once."""
MAX_VALUES = 20_000
"""Of one body: options, the largest structure that is taken, are settings. Each value costs up to 200 bytes, and the
event loop some microseconds to look at it."""


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """What a body may hold."""

    bytes: int = MAX_BODY_BYTES
    values: int = MAX_VALUES


def problem_response(status: int, error: PavoError, headers: Mapping[str, str] | None = None) -> Response:
    """An error as problem details; with Retry-After where repeating later helps, and how to authenticate on 401."""
    added: dict[str, str] = {}
    if isinstance(error, Unavailable):
        added["Retry-After"] = str(error.retry_after)
    elif isinstance(error, NotAuthenticated):
        added["WWW-Authenticate"] = "Bearer"
    return Response(problem_bytes(status, error), status, headers={**added, **(headers or {})}, media_type=PROBLEM_JSON)


def internal_problem(scope: Scope, error: Exception) -> Response:
    """The answer (500) to a request that failed by a fault of our own. It holds only an id, under which the log tells
    everything."""
    request_id = str(new_id())
    logger.error(
        "Request %s failed: %s %r",
        request_id,
        scope["method"],
        scope["path"],
        exc_info=error,
        extra={"request_id": request_id},
    )
    problem = InternalError(
        f"Pavo could not answer this request ({request_id}) because of a fault of its own.",
        remedy=f"Repeat it; if it fails again, look in the API's log for {request_id}.",
        request_id=request_id,
    )
    return problem_response(500, problem)


class Failsafe:
    """Answers with a problem (500) when handling a request fails. Once the answer has begun, it can only be cut off:
    the error goes on to the server, which closes the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if begun:
                raise
            await internal_problem(scope, error)(scope, receive, send)


class _Refused(Exception):
    pass


class BodyLimit:
    """Refuses bodies over 2 MB or of too many values (413) before they are parsed, what is too much with all others
    (503), bodies that are no UTF-8 and addresses with NUL characters (422).

    Args:
        most_in_all: bytes of all bodies at once, each until its request is answered; of each the first
            `SMALL_BODY_BYTES` are not counted, so that those who send large bodies keep nobody else out.
        larger: under which paths more is taken, by their beginning.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most_in_all: int = MAX_BYTES_OF_BODIES,
        larger: Mapping[str, BodyBounds] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._bodies = _Bodies(most_in_all)
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if b"%00" in scope.get("query_string", b"") or "\x00" in scope["path"]:
            error = InvalidInput("The address has a NUL character.", field="url", remedy="Leave it out.")
            await problem_response(422, error)(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        bounds = next((each for start, each in self._larger.items() if scope["path"].startswith(start)), BodyBounds())
        too_large = length.isdigit() and int(length) > bounds.bytes
        refusal = _too_large(bounds) if too_large else await self._serve(bounds, scope, receive, send)
        if refusal is None:
            return
        await problem_response(_status_of(refusal), refusal)(scope, receive, send)

    async def _serve(self, bounds: BodyBounds, scope: Scope, receive: Receive, send: Send) -> PavoError | None:
        """Why the body was refused, if it was. Then nothing was sent: the application takes the cut body for a
        malformed one, and its answer is held back."""
        body = _Body(self._bodies, bounds)

        more = False

        async def limited() -> Message:
            nonlocal more
            message = await receive()
            more = bool(message.get("more_body"))
            body.take(message.get("body", b""))
            return message

        async def unless_refused(message: Message) -> None:
            if body.refusal is None:
                body.give_back()  # it is answered: what still comes, nobody keeps
                await send(message)

        try:
            await self._app(scope, limited, unless_refused)
        except _Refused:
            if more:
                await _drop_the_rest(receive)
        finally:
            body.give_back()
        return body.refusal


class _Bodies:
    """What all bodies together hold."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class _Body:
    """One body as it comes."""

    def __init__(self, among: _Bodies, bounds: BodyBounds) -> None:
        self.refusal: PavoError | None = None
        self._bounds = bounds
        self._among = among
        self._seen = self._held = 0
        self._values = CountedValues()
        self._answered = False

    def take(self, piece: bytes) -> None:
        """The next piece of it.

        Raises:
            _Refused: for what `refusal` says.
        """
        if self._answered:
            return
        self._seen += len(piece)
        more = max(0, self._seen - SMALL_BODY_BYTES) - self._held
        self.refusal = self.refusal or self._refuses(piece, more)
        if self.refusal is not None:
            raise _Refused
        self._held += more
        self._among.held += more

    def give_back(self) -> None:
        """It is answered, and holds nothing any more."""
        self._answered = True
        self._among.held -= self._held
        self._held = 0

    def _refuses(self, piece: bytes, more: int) -> PavoError | None:
        if self._seen > self._bounds.bytes:
            return _too_large(self._bounds)
        if more and self._among.held + more > self._among.most:
            return Unavailable("The API holds as many large bodies as it can.", dependency="api", retry_after=1)
        try:
            self._values.take(piece)
        except NotUtf8:
            return InvalidInput("The body cannot be read.", field="body", remedy="Send a JSON object in UTF-8.")
        if self._values.count > self._bounds.values:
            detail = f"The body has more than {self._bounds.values:,} values."
            return TooLarge(detail, field="body", remedy="Send fewer members and items; texts may be long.")
        return None


async def _drop_the_rest(receive: Receive) -> None:
    """Read on, for a client that still sends when it is refused would lose the reason; no more than is taken at all."""
    left, more = MAX_BODY_BYTES, True
    while more and left > 0:
        message = await receive()
        more = bool(message.get("more_body"))
        left -= len(message.get("body", b""))


def _status_of(refusal: PavoError) -> int:
    if isinstance(refusal, Unavailable):
        return 503
    return 413 if isinstance(refusal, TooLarge) else 422


def _too_large(bounds: BodyBounds) -> TooLarge:
    return TooLarge(f"The body has more than {bounds.bytes} bytes.", field="body", remedy="Send less at once.")
