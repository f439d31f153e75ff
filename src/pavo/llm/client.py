"""The client of OpenAI-compatible servers: one request, bounded in bytes and seconds, whatever the server does.

Answers are always streamed, so that one that stalls is noticed. What the server says never holds the key.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import httpx2
import orjson

from pavo import __version__
from pavo.agents.checks import storable
from pavo.kit.json_values import encode
from pavo.kit.outgoing.addresses import Network
from pavo.kit.outgoing.checked_client import checked_client
from pavo.kit.outgoing.connecting import Connector, NotAllowed
from pavo.llm.assembling import MAX_ANSWER_BYTES, Assembly, Chunk, Malformed, ServerSentEvents, TooMuch, checked, parsed
from pavo.llm.model_endpoints import Endpoint
from pavo.llm.named.domain import NETWORKS

logger = logging.getLogger(__name__)
# It tells each request at INFO, with its URL.
logging.getLogger("httpx2").setLevel(logging.WARNING)

MAX_CONNECTIONS: Final = 1_000
RESOLVERS: Final = 64
"""Threads that ask name servers for the hosts of organisations' endpoints."""
MAX_ERROR_BYTES: Final = 16_384
MAX_TOLD: Final = 500
"""Characters of what a server says of an error."""
END_SECONDS: Final = 0.1
"""A server has so long to end a stream after its last event."""
_AGAIN: Final = frozenset((408, 409, 425, 429))
"""Statuses that another try may change, beside 5xx."""
_SPENT: Final = frozenset(("insufficient_quota", "billing_hard_limit_reached"))
"""Codes of status 429 that no other try changes."""
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

Told = Callable[[Chunk], None]
"""Takes the chunks of an answer as they come."""


class CallFailed(Exception):
    """There is no answer that can be used; `detail` says why, and holds no key."""

    def __init__(
        self,
        detail: str,
        remedy: str,
        *,
        refused: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
        paid: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail, self.remedy = detail, remedy
        self.refused = refused
        """Another try is useless."""
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asks for."""
        self.paid = paid
        """Whether it may be paid for: the server had the request, and did not refuse it."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How long a server has."""

    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    """Between two pieces of an answer, and before the first."""


class ModelClient:
    """Asks models, over connections that it keeps. Belongs to the event loop that first uses it.

    Args:
        limits: how long a server has.
        networks: networks that are not public, where organisations' own endpoints may be nevertheless.
    """

    def __init__(self, limits: ClientLimits, networks: Sequence[Network] = ()) -> None:
        self._limits = limits
        self._networks = networks
        self._client: httpx2.AsyncClient | None = None
        self._checked: httpx2.AsyncClient | None = None
        self._connector: Connector | None = None

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._client, self._checked):
            if client is not None:
                await client.aclose()
        if self._connector is not None:
            self._connector.close()

    async def ask(self, endpoint: Endpoint, body: Mapping[str, Any], told: Told | None = None) -> dict[str, Any]:
        """The chat completion, put together.

        Raises:
            CallFailed: there is none.
        """
        sent = {**body, "stream": True, "stream_options": {"include_usage": True}}
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"pavo/{__version__}",
        }
        if endpoint.api_key:
            headers["authorization"] = f"Bearer {endpoint.api_key}"
        url = f"{endpoint.base_url}/chat/completions"
        try:
            async with self._connections(endpoint).stream("POST", url, content=encode(sent), headers=headers) as answer:
                if answer.status_code != 200:
                    raise await _refusal(endpoint, answer)
                return await _read(answer, told)
        except CallFailed:
            raise
        except Exception as error:  # of a foreign library, or of what the server sends
            raise self._failure(endpoint, error) from error

    def _failure(self, endpoint: Endpoint, error: Exception) -> CallFailed:
        if isinstance(error, NotAllowed):
            remedy = f"Give the endpoint another base URL, or have the operator allow its network: {NETWORKS}."
            return CallFailed(_told(endpoint, f"may not be asked: {error}"), remedy, refused=True)
        if isinstance(error, Malformed):
            return _failed(endpoint, f"gave an answer that is none: {error}")
        if isinstance(error, TooMuch):
            remedy = f"Keep answers under {MAX_ANSWER_BYTES:,} bytes, such as by max_tokens."
            return CallFailed(_told(endpoint, f"gave too long an answer: {error}"), remedy, refused=True, paid=True)
        paid = not isinstance(error, _NOT_SENT)
        if isinstance(error, httpx2.TimeoutException):
            return _failed(endpoint, self._silent(error), paid=paid)
        return _failed(endpoint, f"was lost: {type(error).__name__}: {error}", paid=paid)

    def _connections(self, endpoint: Endpoint) -> httpx2.AsyncClient:
        """Organisations' endpoints have connections of their own: theirs take none away from the operator's."""
        known = self._checked if endpoint.is_own else self._client
        if known is not None:
            return known
        silence, connect = self._limits.silence_seconds, self._limits.connect_seconds
        timeout = httpx2.Timeout(silence, connect=connect, pool=connect)
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=100)
        if endpoint.is_own:
            self._connector = Connector(self._networks, NETWORKS, resolvers=RESOLVERS)
            self._checked = found = checked_client(self._connector, timeout, limits)
        else:  # it costs some milliseconds, mostly of TLS
            self._client = found = httpx2.AsyncClient(timeout=timeout, limits=limits)
        return found

    def _silent(self, error: httpx2.TimeoutException) -> str:
        if isinstance(error, httpx2.ConnectTimeout):
            return f"could not be reached within {self._limits.connect_seconds:g} s"
        if isinstance(error, httpx2.PoolTimeout):
            return f"has {MAX_CONNECTIONS} calls of this process under way"
        return f"said nothing for {self._limits.silence_seconds:g} s"


async def _read(answer: httpx2.Response, told: Told | None) -> dict[str, Any]:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Malformed(f"it is packed ({answer.headers['content-encoding'][:50]}), which nobody asked for")
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return checked(parsed(await _body(answer, MAX_ANSWER_BYTES)))
    assembly, events, done = Assembly(), ServerSentEvents(), False
    pieces = answer.aiter_raw()
    async for piece in pieces:
        for data in events.feed(piece):
            done = _take(data, assembly, told) or done
        if done:
            await _to_its_end(pieces)
            break
    else:
        for data in events.end():
            done = _take(data, assembly, told) or done
    if not done and not assembly.is_whole:
        raise Malformed("it ends in the middle")
    return assembly.answer()


async def _to_its_end(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, which is nothing: only a stream that was read whole leaves its connection to
    the next call. One that goes on is cut instead."""
    with suppress(TimeoutError, httpx2.HTTPError, StopAsyncIteration):
        async with asyncio.timeout(END_SECONDS):
            await anext(pieces)


def _take(data: bytes, assembly: Assembly, told: Told | None) -> bool:
    """Whether it says that all is said."""
    if data == b"[DONE]":
        return True
    chunk = assembly.add(data)
    if told is not None:
        told(chunk)
    return False


async def _body(answer: httpx2.Response, limit: int) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > limit:
            raise TooMuch(f"more than {limit:,} bytes")
    return bytes(body)


async def _refusal(endpoint: Endpoint, answer: httpx2.Response) -> CallFailed:
    """What the server says instead of an answer."""
    try:
        body = await _body(answer, MAX_ERROR_BYTES)
    except TooMuch:
        body = b""
    status, (message, code) = answer.status_code, _said(body)
    if "context" in code and code not in message:  # of a conversation that is too long: whoever asks may shorten it
        message = f"{message} ({code[:100]})".strip()
    detail = _told(endpoint, f"answered {status}{f': {message}' if message else ''}")
    if status in _AGAIN or status >= 500:
        if code not in _SPENT:
            retry_after = _retry_after(answer.headers)
            return CallFailed(detail, "Try again later.", status=status, retry_after=retry_after)
        remedy = "Raise the account's limit at the provider."
    elif status in (401, 403, 404) or status < 400:
        remedy = endpoint.remedy
    else:
        remedy = "Mend the request, or ask another model."
    return CallFailed(detail, remedy, refused=True, status=status)


def _said(body: bytes) -> tuple[str, str]:
    """Message and code of an error, as OpenAI's API has them, or what else it is."""
    try:
        value: Any = orjson.loads(body)
        error: Any = value["error"]
        if isinstance(error, dict):
            found = cast(dict[str, Any], error)
            return str(found.get("message") or found), str(found.get("code") or found.get("type"))
        return str(error), ""
    except (ValueError, TypeError, LookupError):
        return body.decode(errors="replace").strip(), ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, also where a date is given; RFC 9110, 10.2.3, and OpenAI's `retry-after-ms`."""
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", milliseconds := headers.get("retry-after-ms", "")):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    try:
        at, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (at - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _failed(endpoint: Endpoint, what: str, *, paid: bool = True) -> CallFailed:
    return CallFailed(_told(endpoint, what), "Try again later, or look at the model's server.", paid=paid)


def _told(endpoint: Endpoint, what: str) -> str:
    if endpoint.api_key:  # servers repeat it
        what = what.replace(endpoint.api_key, "***")
    shown = what if len(what) <= MAX_TOLD else f"{what[:MAX_TOLD]} …"
    return storable(f"The model's server ({httpx2.URL(endpoint.base_url).host}) {shown}").rstrip(".") + "."
