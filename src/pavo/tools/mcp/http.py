"""MCP over streamable HTTP: the client of the package `mcp`, over connections that are bounded in bytes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import httpx2
import orjson
from mcp.client.streamable_http import streamable_http_client

from pavo.tools.mcp.lines import MESSAGE_BYTES
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.mcp.transport import CALL_META, NOT_SENT, Transport

CONNECT_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 30.0
SPARE_SECONDS: Final = 5.0
"""Longer than a call takes at most: who waits for it gives up first."""
CLOSE_SECONDS: Final = 3.0
KEPT: Final = 10_000
"""Keys of calls; beyond it the oldest are of no interest."""

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@asynccontextmanager
async def http_transport(spec: ServerSpec) -> AsyncGenerator[Transport]:
    """A client of the server. It follows no redirect and uses no compression: one would lead elsewhere, the other
    hides how much comes."""
    assert spec.url is not None
    # A connection for each request: of a kept one that has ended meanwhile nobody knows whether it took the call.
    bounded = _Bounded(httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0)))
    timeout = httpx2.Timeout(
        connect=CONNECT_SECONDS, read=spec.call_seconds + SPARE_SECONDS, write=WRITE_SECONDS, pool=CONNECT_SECONDS
    )
    headers = {"Accept-Encoding": "identity", **spec.headers}
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with (
        httpx2.AsyncClient(transport=bounded, headers=headers, timeout=timeout, follow_redirects=False) as client,
        streamable_http_client(spec.url, http_client=client, terminate_on_close=False) as (received, sending),
    ):
        yield Transport(received, sending, ended, bounded.too_large, bounded.not_sent)


class _Bounded(httpx2.AsyncBaseTransport):
    """Counts what comes, and tells a call that found no connection from one whose outcome is not known."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.too_large: set[str] = set()
        self.not_sent: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        call = _call_of(request)
        try:
            response = await self._inner.handle_async_request(request)
        except _NEVER_SENT as error:
            _note(self.not_sent, call)
            return _refusal(f"It cannot be reached: {type(error).__name__}.")
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity" or 300 <= response.status_code < 400:
            # The client of `mcp` sends a call once more where a redirect leads.
            await response.aclose()
            return httpx2.Response(502, content=b"", request=request)
        response.stream = _Counted(cast(Any, response.stream), lambda: _note(self.too_large, call))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, overflow: Any) -> None:
        self._stream = stream
        self._overflow = overflow

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MESSAGE_BYTES:
                self._overflow()
                raise httpx2.StreamError(f"more than {MESSAGE_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _call_of(request: httpx2.Request) -> str | None:
    """The idempotency key of the call that this carries."""
    if request.method != "POST":
        return None
    try:
        key = orjson.loads(request.content)["params"]["_meta"][CALL_META]
    except (httpx2.RequestNotRead, ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def _note(keys: set[str], call: str | None) -> None:
    if call is not None:
        if len(keys) >= KEPT:
            keys.clear()
        keys.add(call)


def _refusal(told: str) -> httpx2.Response:
    """As an error of the protocol: a raised one would end the whole session, and calls that are under way."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": NOT_SENT, "message": told}}
    return httpx2.Response(503, json=error)
