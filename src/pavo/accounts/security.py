"""The gate in front of the API (`BrowserGuard`, ASGI), which `api.create_app` adds with the settings."""

from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.accounts.origin import SESSION_COOKIE, BrowserRules, Call, Verdict
from pavo.config import HttpSettings
from pavo.errors import Forbidden
from pavo.kit.problem import PROBLEM_JSON, problem_bytes

CORS_HEADERS: Final = (
    b"Authorization, Authorization-Extras, Content-Type, Idempotency-Key, Last-Event-ID, X-Namespace, X-User-Email, "
    b"X-User-Id"
)
"""Request headers that other pages may send; Temporal's UI sends Authorization-Extras and X-Namespace."""
CORS_METHODS: Final = b"GET, POST, PATCH, PUT, DELETE"
PREFLIGHT_SECONDS: Final = b"600"
"""How long browsers may remember a preflight's answer."""

_READ: Final = {
    b"host": "host",
    b"origin": "origin",
    b"sec-fetch-site": "fetch_site",
    b"sec-fetch-mode": "fetch_mode",
    b"sec-fetch-dest": "fetch_dest",
}
SOCKET: Final = "WEBSOCKET"
"""Stands for the method of a request that wants a WebSocket: browsers let any page open one and read it, so that the
rules for what is written hold, whatever its method is called."""


class BrowserGuard:
    """Refuses what a foreign web page could make a browser send, before anything else sees it; answers preflights.

    The rules are `origin.BrowserRules`; refusals are problem details with status 403.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._rules = BrowserRules(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            verdict = self._rules.judge(_call(scope))
        except Forbidden as error:
            await _refuse(scope, send, error)
            return
        if verdict.cors_origin is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _answer_preflight(scope, send, verdict)
        else:
            await self._app(scope, receive, _with_headers(send, _cors(verdict)))


def _call(scope: Scope) -> Call:
    """Read the headers that the rules need. A header that must be single but comes twice counts as malformed."""
    found: dict[str, str] = {}
    session = False
    for name, value in scope["headers"]:
        field = _READ.get(name)
        if field is not None:
            found[field] = "\0" if field in found else value.decode("latin-1")
        elif name == b"cookie":
            session = session or SESSION_COOKIE.encode() in value
    scheme: str = scope["scheme"].replace("ws", "http")
    method: str = SOCKET if _wants_socket(scope) else scope["method"]
    return Call(
        method=method,
        path=scope["path"],
        scheme=scheme,
        host=found.get("host"),
        origin=found.get("origin"),
        fetch_site=found.get("fetch_site"),
        fetch_mode=found.get("fetch_mode"),
        fetch_dest=found.get("fetch_dest"),
        bearer=bearer(scope) is not None,
        session=session,
    )


def _wants_socket(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return True
    return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in scope["headers"])


Headers = list[tuple[bytes, bytes]]


async def _refuse(scope: Scope, send: Send, error: Forbidden) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})
        return
    body = problem_bytes(403, error)
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _answer_preflight(scope: Scope, send: Send, verdict: Verdict) -> None:
    headers = _cors(verdict)
    headers += [
        (b"access-control-allow-methods", CORS_METHODS),
        (b"access-control-allow-headers", CORS_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
    if any(name == b"access-control-request-private-network" for name, _ in scope["headers"]):
        headers.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _cors(verdict: Verdict) -> Headers:
    headers = [
        (b"access-control-allow-origin", (verdict.cors_origin or "").encode("latin-1")),
        (b"access-control-expose-headers", b"Location, Retry-After"),
        (b"vary", b"Origin"),
    ]
    if verdict.credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers


def _with_headers(send: Send, added: Iterable[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending


def bearer(scope: Scope) -> str | None:
    """The API token, from the first Authorization header alone.

    The guard and `dependencies.maybe_identity` must see the same one: a bearer that only the guard saw would let a
    foreign page's write pass, and the cookie would say whose it is.
    """
    value = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return value[7:].decode("latin-1").strip() if value[:7].lower() == b"bearer " else None
