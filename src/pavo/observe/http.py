"""What every request leaves behind: a count, its latency, a span, and the ids that its log lines carry."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.observe import metrics
from pavo.observe import noted_ids as ids
from pavo.observe.spans import Span, request_span, tracing

UNKNOWN = "(none)"
"""The route label of a request that no route was found for: with its path, strangers could choose the labels."""
GONE = "499"
"""The status of a request whose client left before the answer began (nginx's number)."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Machines ask these every few seconds: they get no spans."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

ANSWERED = "pavo.answered"
"""The member of a request's scope that says by which status it was answered, and when, where no message says it: as a
WebSocket that the connection itself answers."""

_request: ContextVar[Scope | None] = ContextVar("pavo_request", default=None)


def request_ids() -> Mapping[str, str]:
    """What the current request is about: the task in its address, and what it noted."""
    found = _request.get()
    if found is None:
        return {}
    task_id = found.get("path_params", {}).get("task_id")
    return {**({"task_id": str(task_id)} if task_id else {}), **ids.noted()}


def answered(scope: Scope, status: int) -> None:
    """Note that the connection itself has answered a request."""
    scope[ANSWERED] = (str(status), time.perf_counter())


class Observed:
    """The outermost middleware. With `spans` off it costs two look-ups of the clock and four of dictionaries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _request.set(scope)
        ids.begin()
        answer = _Answer(scope)
        metrics.HTTP_IN_FLIGHT.add()
        try:
            if tracing() and scope["path"] not in QUIET:
                await self._traced(scope, receive, send, answer)
            else:
                await self._app(scope, receive, answer.watched(send))
        except Exception:
            answer.status = "500"
            raise
        finally:
            metrics.HTTP_IN_FLIGHT.add(by=-1)
            answer.count()

    async def _traced(self, scope: Scope, receive: Receive, send: Send, answer: "_Answer") -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with request_span(scope["method"], headers) as span:
            try:
                await self._app(scope, receive, answer.watched(send))
            except Exception:
                answer.status = "500"
                raise
            finally:
                _describe(span, answer)


class _Answer:
    """What is known of the answer to one request."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._began = time.perf_counter()
        self._seconds: float | None = None
        self._status = GONE

    @property
    def status(self) -> str:
        """Of the answer, as far as it is known."""
        noted: tuple[str, float] | None = self._scope.get(ANSWERED)
        return self._status if noted is None else noted[0]

    @status.setter
    def status(self, status: str) -> None:
        self._status = status

    @property
    def method(self) -> str:
        """The request's method, unless the client invented one."""
        method: str = self._scope["method"]
        return method if method in METHODS else UNKNOWN

    @property
    def route(self) -> str:
        """The template of its address, known once it has been routed."""
        route: Any = self._scope.get("route")
        return getattr(route, "path", UNKNOWN)

    def watched(self, send: Send) -> Send:
        """`send`, noting the status and, for a stream, when it begins."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = str(message["status"])
                if any(value.startswith(b"text/event-stream") for _, value in message["headers"]):
                    self._seconds = time.perf_counter() - self._began
            await send(message)

        return sending

    def count(self) -> None:
        """The answer has ended."""
        noted: tuple[str, float] | None = self._scope.get(ANSWERED)
        begun = noted[1] - self._began if noted is not None else self._seconds
        seconds = begun if begun is not None else time.perf_counter() - self._began
        metrics.HTTP_REQUESTS.add(self.method, self.route, self.status)
        metrics.HTTP_SECONDS.observe(seconds, self.method, self.route)


def _describe(span: Span, answer: _Answer) -> None:
    """OpenTelemetry's semantic conventions for HTTP servers."""
    span.rename(f"{answer.method} {answer.route}")
    span.set("http.request.method", answer.method)
    span.set("http.route", answer.route)
    span.set("http.response.status_code", int(answer.status))
    if answer.status.startswith("5"):
        span.fail()
    for name, value in request_ids().items():
        span.set(f"pavo.{name}", value)
