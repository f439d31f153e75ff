"""The API process: assembles the application and maps errors to HTTP, once."""

import asyncio
import errno
import logging
import os
import re
import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pavo import __version__, bootstrap, errors
from pavo.accounts.endpoints import router as accounts_router
from pavo.accounts.organisations.endpoints import router as organisations_router
from pavo.accounts.origin import DECODE, check_listener
from pavo.accounts.secrets.endpoints import router as secrets_router
from pavo.accounts.security import BrowserGuard
from pavo.accounts.token_endpoints import router as tokens_router
from pavo.agents.endpoints import router as agents_router
from pavo.bootstrap import SLICES
from pavo.config import HttpSettings, LimitSettings, Settings
from pavo.corpus.endpoints import router as corpus_router
from pavo.errors import ConfigurationError, Conflict, InvalidInput, NotFound, PavoError
from pavo.gates.endpoints import router as gates_router
from pavo.health import FirstReconciliation, metrics_router
from pavo.health import router as health_router
from pavo.inbox.endpoints import router as inbox_router
from pavo.jobs.agents.endpoints import router as remote_agents_router
from pavo.jobs.agents.token_endpoints import router as agent_tokens_router
from pavo.jobs.repositories.endpoints import router as repositories_router
from pavo.kit.cancellation import end
from pavo.kit.listening.admission import MAX_REQUESTS, Admission
from pavo.kit.listening.connections import Connections
from pavo.kit.listening.garbage import collect_seldom
from pavo.kit.listening.limits import Limits
from pavo.kit.listening.socket_connection import SocketConnection
from pavo.kit.open_files import allow_open_files
from pavo.kit.problem import ALWAYS, problems
from pavo.kit.ready import announce_ready
from pavo.kit.requests import BodyBounds, BodyLimit, Failsafe, internal_problem, problem_response
from pavo.llm.gateway.endpoints import router as model_gateway_router
from pavo.llm.named.endpoints import router as model_endpoints_router
from pavo.logging import configure_logging
from pavo.methods import add_head, allowed
from pavo.observe.http import Observed, request_ids
from pavo.observe.listener import listening_if_wanted
from pavo.openapi import describe, operation_id
from pavo.runs.kinds import Slice
from pavo.temporal.client import codec_token
from pavo.temporal.endpoints import router as codec_router
from pavo.tools.announced.endpoints import router as tools_router
from pavo.tools.policies.endpoints import router as policies_router
from pavo.triggers.endpoints import router as triggers_router
from pavo.ui.endpoints import router as ui_router
from pavo.usage.endpoints import router as usage_router
from pavo.webhooks.endpoints import router as webhooks_router

logger = logging.getLogger(__name__)

STATUS: dict[type[PavoError], int] = {
    errors.BadRequest: 400,
    errors.TooLarge: 413,
    errors.InvalidInput: 422,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Unavailable: 503,
}
"""The nearest class in an error's tree decides."""

ACCOUNTS = (accounts_router, tokens_router, organisations_router, secrets_router, model_endpoints_router)
INBOX = (gates_router, inbox_router, usage_router)
MODELS = (model_gateway_router,)
TOOLS = (tools_router, policies_router)
FLEET = (repositories_router, remote_agents_router, agent_tokens_router)

LARGER_BODIES = {"/llm/v1/": BodyBounds(8_000_000, 200_000), DECODE: BodyBounds(6_000_000)}
"""Requests to models hold whole conversations; what Temporal answers at once, 4 MB, is longer in Base64."""

MAX_NAME = 100
"""Characters of a member's name that an error repeats."""
DRAIN_SECONDS = 5
"""For requests in flight at a shutdown; streams are ended at once, their viewers reconnect."""


ACCEPTED_A_TURN = 32
"""New connections that one turn of the event loop takes from each socket."""

NEEDED_FILES = MAX_REQUESTS + 1_000
"""One for each request in flight, the rest for connections that wait for their next and for those to the stores."""


ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""This machine does not have one of the host's addresses: `localhost` on a machine without IPv6."""


def status_of(error: PavoError) -> int:
    """The HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def create_app(settings: Settings, slices: Sequence[Slice] = SLICES) -> FastAPI:
    """The application; it opens its clients when it starts."""
    check_listener(settings.http)
    codec_token(settings.temporal)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        allow_open_files(NEEDED_FILES)
        async with AsyncExitStack() as opened:
            with _remembering_failure(app):
                parts = await opened.enter_async_context(bootstrap.api_parts(settings, slices))
                await opened.enter_async_context(listening_if_wanted(settings.metrics, parts.scrape))
            _share(app, parts, opened)
            app.state.reconciliation = FirstReconciliation(parts.reconciler.compare)
            reconciling = asyncio.create_task(app.state.reconciliation.run())
            yield
            await end(reconciling)

    app = FastAPI(
        title="Pavo",
        version=__version__,
        summary="Long AI-agent tasks that survive anything.",
        lifespan=lifespan,
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    app.state.settings = settings
    of_slices = [router for each in slices for router in each.routers()]
    others = (*ACCOUNTS, corpus_router, webhooks_router, triggers_router, *INBOX, *MODELS, *TOOLS, *FLEET)
    for router in (*of_slices, *others, codec_router, ui_router):
        app.include_router(router, responses=problems(*ALWAYS, 503))
    app.include_router(agents_router, responses=problems(*ALWAYS, 401, 503))
    app.include_router(health_router, responses=problems(*ALWAYS))
    if settings.metrics.enabled and settings.metrics.address is None:
        app.include_router(metrics_router, responses=problems(*ALWAYS, 503))
    add_head(app)
    describe(app)
    _add_error_handlers(app)
    _add_middleware(app, settings)
    return app


def _share(app: FastAPI, parts: bootstrap.ApiParts, opened: AsyncExitStack) -> None:
    """Put on the application what endpoints are handed."""
    app.state.parts, app.state.watching, app.state.corpus = parts, parts.watching, parts.corpus
    app.state.services = {each.kind.noun: each.services for each in parts.kinds}
    app.state.accounts, app.state.agents = parts.accounts, parts.agents
    app.state.secrets, app.state.model_endpoints = parts.secrets, parts.model_endpoints
    app.state.model_gateway = parts.model_gateway
    app.state.webhooks, app.state.gates, app.state.inbox = parts.webhooks, parts.gates, parts.inbox
    app.state.policies, app.state.triggers = parts.policies, parts.triggers
    app.state.usage, app.state.prices = parts.usage, parts.prices
    app.state.artifacts, app.state.fleet = parts.artifacts, parts.fleet


@contextmanager
def _remembering_failure(app: FastAPI) -> Generator[None]:
    """What keeps the application from starting is said once, by `serve`'s caller, and not by uvicorn as a traceback."""
    try:
        yield
    except PavoError as error:
        app.state.failure = error
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        raise


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """From the innermost to the outermost. The guard is around whatever answers, so that other pages may read that."""
    app.add_middleware(BodyLimit, larger=LARGER_BODIES)
    app.add_middleware(Admission)
    app.add_middleware(Failsafe)
    app.add_middleware(BrowserGuard, settings=settings.http)
    app.add_middleware(Observed)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(PavoError)
    async def on_pavo_error(request: Request, error: PavoError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return problem_response(status_of(error), error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _invalid(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        if error.status_code == 400:  # the framework could not read the body: no UTF-8, or nested too deeply
            return problem_response(
                422, InvalidInput("The body cannot be read.", field="body", remedy="Send a JSON object in UTF-8.")
            )
        if error.status_code == 405:
            methods = allowed(app, request.scope["path"])
            refused = InvalidInput(f"{request.method} is not possible here.", field="method", remedy=f"Use {methods}.")
            return problem_response(405, refused, {"Allow": methods})
        kind = NotFound if error.status_code == 404 else InvalidInput
        return problem_response(error.status_code, kind(str(error.detail)), error.headers)

    @app.exception_handler(Exception)
    async def on_fault(request: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        """A fault of the middleware around `Failsafe`."""
        return internal_problem(request.scope, error)


def _invalid(error: RequestValidationError) -> Response:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        detail = f"The body is no valid JSON: {first.get('ctx', {}).get('error', first['msg'])}."
        return problem_response(422, InvalidInput(detail, field="body", remedy="Send a JSON object in UTF-8."))
    # An unknown member has whatever name its sender gave it.
    place = [_shortened(str(part)) for part in first["loc"]]
    field = ".".join(place[1:]) or place[0]
    found = InvalidInput(_sentence(field, first["msg"]), field=field, remedy=f"Correct {field} in the {place[0]}.")
    return problem_response(413 if first["type"] == "string_too_long" else 422, found)


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"


def _sentence(field: str, message: str) -> str:
    """What is wrong with a member, as people say it; from a message of the schema."""
    said = message.removeprefix("Value error, ").rstrip(".")
    said = re.sub(r"^(Input|String|List|Dictionary|Value) (?=should )", "", said)
    said = {"Field required": "is missing", "Extra inputs are not permitted": "is not known"}.get(said, said)
    return f"{field} {said}." if said[:1].islower() else f"{field}: {said}."


def serve(settings: Settings, slices: Sequence[Slice] = SLICES) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        Conflict: somebody listens on the port.
        PavoError: what else keeps it from starting.
    """
    configure_logging(settings.logging, request_ids)
    app = create_app(settings, slices)
    connections = Connections(_limits(settings.limits))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(SocketConnection, connections=connections),  # pyright: ignore[reportArgumentType]
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=1024,
    )
    _Server(config, app, settings.http, connections).run(sockets=often(_bind(settings.http)))


def _limits(of: LimitSettings) -> Limits:
    return Limits(
        send_seconds=of.send_seconds,
        unsent_bytes=of.unsent_mb * 1_000_000,
        per_address=of.per_address,
        proxies=frozenset(address.strip() for address in of.proxies.split(",")),
    )


def often(bound: list[socket.socket]) -> list[socket.socket]:
    """The same sockets, each with copies: libuv accepts one connection a turn and descriptor, so that under load a
    thousand in the backlog waited for as many turns, and a supervisor's greeting behind them."""
    return [*bound, *(listener.dup() for listener in bound for _ in range(ACCEPTED_A_TURN - 1))]


def _bind(http: HttpSettings) -> list[socket.socket]:
    """A socket on each of the host's addresses: bound, so that a taken port is seen at once, but not listening yet.

    Raises:
        Conflict: somebody listens there.
        ConfigurationError: this machine cannot listen there.
    """
    bound: list[socket.socket] = []
    absent: list[OSError] = []
    try:
        for family, address in _addresses(http):
            port = bound[0].getsockname()[1] if bound else http.port
            try:
                bound.append(_bound(family, (address, port), share=http.share_port))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent.append(error)
        if absent and not bound:
            raise absent[0]
    except (OSError, UnicodeError) as error:
        for listener in bound:
            listener.close()
        raise _cannot_listen(http, error) from error
    return bound


def _addresses(http: HttpSettings) -> list[tuple[int, str]]:
    """Families and addresses of a host: `localhost` mostly has two."""
    found = socket.getaddrinfo(http.host or None, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))


def _bound(family: int, address: tuple[str, int], *, share: bool) -> socket.socket:
    """With `share` beside those of other API processes: one that dies takes only its own connections with it."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _cannot_listen(http: HttpSettings, error: OSError | UnicodeError) -> PavoError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Conflict(
            f"Port {http.port} of {http.host} is taken.",
            field="PAVO_PORT",
            remedy="End what listens there (ss -ltnp shows it), or set PAVO_PORT to another port; 0 takes a free one.",
        )
    reason = error.strerror if isinstance(error, OSError) else "this is no name of a host"
    return ConfigurationError(
        f"The API cannot listen on port {http.port} of {http.host!r}: {reason}.",
        field="PAVO_HOST",
        remedy="Set PAVO_HOST to an address of this machine, and PAVO_PORT to one that this user may take.",
    )


class _Server(uvicorn.Server):
    """Says when it is ready, and ends its streams before it waits for what is in flight.

    What keeps it from starting is raised as a `PavoError`; uvicorn would end the process with a code of its own.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, http: HttpSettings, connections: Connections) -> None:
        super().__init__(config)
        self._app, self._http = app, http
        self._connections = connections
        self._beside: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as end:
            failure: PavoError | None = getattr(self._app.state, "failure", None)
            raise failure or SystemExit(1) from end
        if any(listener.fileno() < 0 for listener in sockets or []):
            # Another process, which had bound the port too, began to listen first; uvloop only closes the socket then.
            await self.lifespan.shutdown()
            raise _cannot_listen(self._http, OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)))
        for address in dict.fromkeys(listener.getsockname()[:2] for listener in sockets or []):
            logger.info("The API listens on %s port %s", *address)
        self._beside = [
            asyncio.create_task(self._connections.watch(), name="connections-watch"),
            asyncio.create_task(collect_seldom(), name="garbage"),
        ]
        announce_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        parts: bootstrap.ApiParts = self._app.state.parts
        parts.follower.dismiss()
        parts.fleet.feed.dismiss()
        await super().shutdown(sockets)
        await end(*self._beside)
